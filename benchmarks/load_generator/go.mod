module holdfast.dev/benchmarks/load

go 1.24

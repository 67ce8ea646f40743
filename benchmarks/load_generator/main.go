// Load: requests over mutual TLS to one server, and what they cost it.
//
// Warm: kept-alive connections, one request under way on each. Cold: a connection and a full handshake for each request.
// Closed loop (as fast as answers come) or open loop (-rate): then latency counts from the moment a request was due, so
// that a stalled server cannot hide its stall. The processor time of the server (-pids, with their children and threads)
// is read at both ends of the measured window. One JSON object comes out, with -progress one more each so many seconds
// before it. Memory does not grow with the length of a run. Must not know which server answers.
package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/bits"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Load is what the command line asks for.
type Load struct {
	address, path, body, expect string
	connections                 int
	cold                        bool
	rate                        float64
	tls                         *tls.Config
	request                     []byte
}

// Steps are the parts that a doubling of latency is counted in: a quantile is off by 0.2 % at most.
const steps = 256

// Histogram counts latencies, in nanoseconds: exact below two times steps, then in parts of each doubling.
type Histogram [steps * 40]int64

// Tally is what one worker saw. The counts of answers and failures may be read while it works.
type Tally struct {
	latencies        Histogram
	answered, failed atomic.Int64
	first            string
}

// Progress is what is printed on the way: counts since the beginning of the measured window.
type Progress struct {
	Answered int64 `json:"answered"`
	Failed   int64 `json:"failed"`
}

// Result is what is printed: times in seconds, latencies in microseconds.
type Result struct {
	Answered   int     `json:"answered"`
	Failed     int     `json:"failed"`
	First      string  `json:"first_failure"`
	Seconds    float64 `json:"seconds"`
	CPUSeconds float64 `json:"cpu_seconds"`
	P50        float64 `json:"p50"`
	P99        float64 `json:"p99"`
}

type connection struct {
	raw    net.Conn
	reader *bufio.Reader
}

func main() {
	load, seconds, warmup, progress, pids := parse()
	if warmup > 0 {
		warm := *load
		warm.rate = 0
		warm.run(warm.tallies(), func(done int) bool { return done < warmup })
	}
	tallies := load.tallies()
	before := cpuSeconds(pids)
	began := time.Now()
	end := began.Add(time.Duration(seconds * float64(time.Second)))
	if progress > 0 {
		go report(tallies, time.NewTicker(time.Duration(progress*float64(time.Second))))
	}
	load.run(tallies, func(int) bool { return time.Now().Before(end) })
	elapsed := time.Since(began).Seconds()
	result := summarize(tallies)
	result.Seconds, result.CPUSeconds = elapsed, cpuSeconds(pids)-before
	check(json.NewEncoder(os.Stdout).Encode(result))
}

// report goes on until the program ends. Its lines are shorter than a pipe takes at once, so they never mix.
func report(tallies []Tally, ticker *time.Ticker) {
	for range ticker.C {
		var progress Progress
		for i := range tallies {
			progress.Answered += tallies[i].answered.Load()
			progress.Failed += tallies[i].failed.Load()
		}
		check(json.NewEncoder(os.Stdout).Encode(progress))
	}
}

func parse() (*Load, float64, int, float64, []string) {
	address := flag.String("address", "127.0.0.1:8443", "host:port of the server")
	ca := flag.String("ca", "", "PEM file with the CA of the server")
	cert := flag.String("cert", "", "PEM file with the client's certificate")
	key := flag.String("key", "", "PEM file with its key")
	path := flag.String("path", "/", "path of the request")
	body := flag.String("body", "", "form that is posted")
	expect := flag.String("expect", "", "what the body of an answer has to hold")
	connections := flag.Int("connections", 16, "requests under way at once")
	cold := flag.Bool("cold", false, "a connection for each request")
	rate := flag.Float64("rate", 0, "requests a second; 0: as many as are answered")
	seconds := flag.Float64("seconds", 2, "length of the measured window")
	warmup := flag.Int("warmup", 0, "requests before it")
	progress := flag.Float64("progress", 0, "seconds between lines that tell how it goes; 0: none")
	pids := flag.String("pids", "", "processes whose processor time counts, with commas between")
	flag.Parse()
	load := &Load{*address, *path, *body, *expect, *connections, *cold, *rate, clientTLS(*ca, *cert, *key), nil}
	load.request = []byte(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
		"Content-Length: %d\r\n\r\n%s", load.path, load.address, len(load.body), load.body))
	return load, *seconds, *warmup, *progress, strings.FieldsFunc(*pids, func(r rune) bool { return r == ',' })
}

func clientTLS(ca, cert, key string) *tls.Config {
	pem, err := os.ReadFile(ca)
	check(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	pair, err := tls.LoadX509KeyPair(cert, key)
	check(err)
	// The server's name in the certificate is its address; no session cache, so that a cold request is a full handshake.
	// X25519 alone, so that every server does the same exchange (some would take the larger post-quantum one).
	present := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return &tls.Config{RootCAs: roots, GetClientCertificate: present, MinVersion: tls.VersionTLS13,
		CurvePreferences: []tls.CurveID{tls.X25519}}
}

// tallies has one for each worker.
func (load *Load) tallies() []Tally {
	return make([]Tally, load.connections)
}

// run keeps a worker for each tally busy while more(requests begun) holds.
func (load *Load) run(tallies []Tally, more func(int) bool) {
	var begun atomic.Int64
	var done sync.WaitGroup
	due := load.schedule(more, &begun)
	for i := range tallies {
		done.Add(1)
		go func(tally *Tally) {
			defer done.Done()
			load.work(tally, due, func() bool { return more(int(begun.Add(1)) - 1) })
		}(&tallies[i])
	}
	done.Wait()
}

// schedule says when each request of an open loop is due; nil for a closed loop.
func (load *Load) schedule(more func(int) bool, begun *atomic.Int64) chan time.Time {
	if load.rate == 0 {
		return nil
	}
	due := make(chan time.Time, 1<<16)
	go func() {
		defer close(due)
		gap := time.Duration(float64(time.Second) / load.rate)
		for next := time.Now(); more(0); next = next.Add(gap) {
			if wait := time.Until(next); wait > 0 {
				time.Sleep(wait)
			}
			due <- next
		}
	}()
	return due
}

func (load *Load) work(tally *Tally, due chan time.Time, more func() bool) {
	var kept *connection
	defer func() {
		if kept != nil {
			kept.raw.Close()
		}
	}()
	for {
		began := time.Now()
		if due != nil {
			at, open := <-due
			if !open {
				return
			}
			began = at
		} else if !more() {
			return
		}
		var err error
		if kept, err = load.ask(kept); err != nil {
			tally.fail(err)
			continue
		}
		tally.latencies.count(time.Since(began))
		tally.answered.Add(1)
	}
}

// ask sends one request and reads its answer; nil for the connection when it was closed.
func (load *Load) ask(kept *connection) (*connection, error) {
	if kept == nil {
		raw, err := tls.Dial("tcp", load.address, load.tls)
		if err != nil {
			return nil, err
		}
		kept = &connection{raw, bufio.NewReader(raw)}
	}
	closing, err := load.exchange(kept)
	if err != nil || closing || load.cold {
		kept.raw.Close()
		return nil, err
	}
	return kept, nil
}

func (load *Load) exchange(kept *connection) (bool, error) {
	kept.raw.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := kept.raw.Write(load.request); err != nil {
		return true, err
	}
	answer, err := http.ReadResponse(kept.reader, nil)
	if err != nil {
		return true, err
	}
	body, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil {
		return true, err
	}
	if answer.StatusCode != 200 || !bytes.Contains(body, []byte(load.expect)) {
		return answer.Close, fmt.Errorf("%d %.200s", answer.StatusCode, body)
	}
	return answer.Close, nil
}

func (tally *Tally) fail(err error) {
	tally.failed.Add(1)
	if tally.first == "" {
		tally.first = err.Error()
	}
}

func (histogram *Histogram) count(latency time.Duration) {
	doublings := max(bits.Len64(uint64(latency))-bits.Len64(steps), 0)
	part := doublings*steps + int(uint64(latency)>>doublings)
	histogram[min(part, len(histogram)-1)]++
}

// at is the latency that a part stands for: the middle of it.
func (histogram *Histogram) at(part int) float64 {
	doublings := max(part/steps-1, 0)
	least := uint64(part-doublings*steps) << doublings
	return float64(least) + float64(uint64(1)<<doublings-1)/2
}

// quantile of what was counted, from the least latency up.
func (histogram *Histogram) quantile(share float64) float64 {
	var total, passed int64
	for _, count := range histogram {
		total += count
	}
	for part, count := range histogram {
		if passed += count; passed > int64(share*float64(total)) {
			return histogram.at(part)
		}
	}
	return 0
}

func summarize(tallies []Tally) Result {
	var result Result
	var all Histogram
	for i := range tallies {
		tally := &tallies[i]
		for part, count := range tally.latencies {
			all[part] += count
		}
		result.Answered += int(tally.answered.Load())
		result.Failed += int(tally.failed.Load())
		if result.First == "" {
			result.First = tally.first
		}
	}
	result.P50, result.P99 = all.quantile(0.50)/1e3, all.quantile(0.99)/1e3
	return result
}

// cpuSeconds is what processes, their children and all their threads have used so far.
func cpuSeconds(pids []string) float64 {
	total := 0.0
	for _, pid := range pids {
		threads, _ := filepath.Glob("/proc/" + pid + "/task/*")
		for _, thread := range threads {
			if text, err := os.ReadFile(thread + "/schedstat"); err == nil {
				if fields := strings.Fields(string(text)); len(fields) > 0 {
					nanoseconds, _ := strconv.ParseFloat(fields[0], 64)
					total += nanoseconds / 1e9
				}
			}
			if children, err := os.ReadFile(thread + "/children"); err == nil {
				total += cpuSeconds(strings.Fields(string(children)))
			}
		}
	}
	return total
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

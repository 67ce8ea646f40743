"""Everything on one machine: what `holdfast dev` is made of.

Owns the composition of server, engine and folder in one process, its data folder, its listeners' certificates, the
watching of the folder and what is told to people and scripts. Decides nothing about a client: the same reconcile as in a
cluster does. Neighbours: `holdfast_cli.dev`, the command.

    data_folder, listener_certificates, watching -> composition -> report -> ready_file, table
"""

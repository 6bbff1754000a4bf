/** flanneld: this host's part of a cluster network. */
process.stderr.write("flanneld: not ready yet\n");
process.exitCode = 1;

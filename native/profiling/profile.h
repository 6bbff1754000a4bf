/* The profiling host: the host, compiled with -DPROFILE, tells which blocks of the frozen program a call of a plugin reads and writes.
 * The build runs it to decide which blocks lie together (dev/image-layout.mjs).
 *
 *   profiling-host record TRANSCRIPT < BYTECODE 3< CONFIGURATION
 *     runs the program as the plugin that argv[0] names, and writes down its system calls
 *   profiling-host replay TRANSCRIPT... < BYTECODE
 *     runs it for each transcript, which answers its system calls, and prints what it did
 *
 * A replay needs no privilege and changes nothing. Each block of the program is on memory pages of its own, and the hardware tells
 * which are touched. */
#ifndef PROFILE_H
#define PROFILE_H
#include <stddef.h>

/* Does what the command line says, with `run` to run the program on arguments. Returns the exit status. */
int profile(int argc, char **argv, int (*run)(char **argv));

/* syscall(a[0], ..., a[6]), or what the transcript says in its place. sizes[i] is how many bytes are at a[i] that the kernel may write
 * to; 0: it is no byte array. Returns the result or -errno. */
long profile_syscall(const long a[7], const size_t sizes[7]);

/* Ends a replay in which the program does what no transcript can answer. */
void profile_unanswerable(const char *what);

#endif

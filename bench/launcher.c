/* The stopwatch of the benchmark: starts programs as a container runtime does and says what each took.
 *
 * A process of a few hundred kilobytes that starts children by posix_spawn (CLONE_VFORK), so that neither Node's own work
 * nor its memory is in the figures: a child's peak memory begins with that of the process it was started from.
 *
 * Standard input, fields separated by tabs:
 *   pause <microseconds>                                 nothing happens, so that what the kernel put off can end
 *   run <n>, then n lines: <stdin> <stdout> <program> [<NAME=value> ...]
 *                                                        starts all n at once, waits for all
 * Standard output, for each `run`: a line "<nanoseconds>" for the whole, then for each program, in the order given,
 * "<nanoseconds> <peak kilobytes> <exit status>"; the status is 256 + signal for one that was killed. Files are opened,
 * lines are taken apart before the clock starts; it stops when wait4 has returned. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_JOBS = 1024, MOST_VARIABLES = 32 };

struct job {
  char *line, *program, *environment[MOST_VARIABLES + 1];
  int in, out, status;
  pid_t pid;
  long started, ended, peak_kilobytes;
};

static void fail(const char *what) {
  fprintf(stderr, "launcher: %s: %s\n", what, strerror(errno));
  exit(1);
}

static long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000L + t.tv_nsec;
}

/* The next line without its newline, to be freed; NULL at the end of the input. */
static char *next_line(void) {
  char *line = NULL;
  size_t room = 0;
  ssize_t length = getline(&line, &room, stdin);
  if (length < 0) {
    free(line);
    return NULL;
  }
  if (length && line[length - 1] == '\n') line[length - 1] = 0;
  return line;
}

static void prepare(struct job *job) {
  memset(job, 0, sizeof *job);
  char *rest = job->line = next_line();
  const char *in = rest ? strsep(&rest, "\t") : NULL, *out = rest ? strsep(&rest, "\t") : NULL;
  job->program = rest ? strsep(&rest, "\t") : NULL;
  errno = EINVAL;
  if (!job->program) fail("a job needs stdin, stdout and a program");
  for (int i = 0; rest; i++) {
    if (i == MOST_VARIABLES) fail("too many variables");
    job->environment[i] = strsep(&rest, "\t");
  }
  job->in = open(in, O_RDONLY | O_CLOEXEC);
  if (job->in < 0) fail(in);
  job->out = open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (job->out < 0) fail(out);
}

static void start(struct job *job) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, job->in, 0);
  posix_spawn_file_actions_adddup2(&files, job->out, 1);
  char *arguments[] = {job->program, NULL};
  job->started = now();
  errno = posix_spawn(&job->pid, job->program, &files, NULL, arguments, job->environment);
  if (errno) fail(job->program);
  posix_spawn_file_actions_destroy(&files);
}

/* Waits for any child and notes its end. Children of children, which a program may leave behind, are not ours. */
static void wait_for_one(struct job *jobs, int count) {
  int status;
  struct rusage usage;
  pid_t pid = wait4(-1, &status, 0, &usage);
  long ended = now();
  if (pid < 0) fail("wait4");
  for (int i = 0; i < count; i++) {
    if (jobs[i].pid != pid) continue;
    jobs[i].ended = ended;
    jobs[i].peak_kilobytes = usage.ru_maxrss;
    jobs[i].status = WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
  }
}

static void run(int count) {
  static struct job jobs[MOST_JOBS];
  errno = EINVAL;
  if (count < 1 || count > MOST_JOBS) fail("run");
  for (int i = 0; i < count; i++) prepare(&jobs[i]);
  long started = now();
  for (int i = 0; i < count; i++) start(&jobs[i]);
  for (int i = 0; i < count; i++) wait_for_one(jobs, count);
  printf("%ld\n", now() - started);
  for (int i = 0; i < count; i++) {
    printf("%ld %ld %d\n", jobs[i].ended - jobs[i].started, jobs[i].peak_kilobytes, jobs[i].status);
    close(jobs[i].in);
    close(jobs[i].out);
    free(jobs[i].line);
  }
  fflush(stdout);
}

int main(void) {
  for (char *line; (line = next_line()); free(line)) {
    char *argument = line, *verb = strsep(&argument, "\t");
    if (argument && !strcmp(verb, "pause")) usleep(atoi(argument));
    else if (argument && !strcmp(verb, "run")) run(atoi(argument));
    else errno = EINVAL, fail(line);
  }
  return 0;
}

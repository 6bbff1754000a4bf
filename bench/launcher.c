/* The stopwatch of the benchmark: starts programs as a container runtime does and says what each took.
 *
 * A process of a few hundred kilobytes that starts children by posix_spawn (CLONE_VFORK), so that neither Node's own work
 * nor its memory is in the figures: a child's peak memory begins with that of the process it was started from.
 *
 * Standard input, fields separated by tabs:
 *   pause <microseconds>                                 nothing happens, so that what the kernel put off can end
 *   run <n>, then n lines: <stdin> <stdout> <program> [<NAME=value> ...]
 *                                                        starts all n at once, waits for all
 *   count, then one such line                            starts it and counts what does not depend on the machine's load
 * Standard output, for each `run`: a line "<nanoseconds>" for the whole, then for each program, in the order given,
 * "<nanoseconds> <microseconds of processor time> <peak kilobytes> <exit status>"; the status is 256 + signal for one that
 * was killed. Files are opened, lines are taken apart before the clock starts; it stops when wait4 has returned.
 * For each `count`: "<system calls> <page faults> <instructions> <exit status>" of the program and all that it starts, the
 * last two as far as they happen in user mode, -1 where the kernel or the processor does not count them. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_JOBS = 1024, MOST_VARIABLES = 32 };

struct job {
  char *line, *program, *environment[MOST_VARIABLES + 1];
  int in, out, status;
  pid_t pid;
  long started, ended, cpu_microseconds, peak_kilobytes;
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

static void release(struct job *job) {
  close(job->in);
  close(job->out);
  free(job->line);
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

static int status_of(int status) { return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status); }

static long microseconds(struct timeval t) { return t.tv_sec * 1000000L + t.tv_usec; }

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
    jobs[i].cpu_microseconds = microseconds(usage.ru_utime) + microseconds(usage.ru_stime);
    jobs[i].status = status_of(status);
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
    printf("%ld %ld %ld %d\n", jobs[i].ended - jobs[i].started, jobs[i].cpu_microseconds, jobs[i].peak_kilobytes, jobs[i].status);
    release(&jobs[i]);
  }
  fflush(stdout);
}

/* A counter of a process and its children from its next exec on; -1 where there is none. */
static int open_counter(int type, int event, pid_t pid) {
  struct perf_event_attr wanted = {
    .size = sizeof wanted, .type = type, .config = event, .disabled = 1, .inherit = 1, .enable_on_exec = 1, .exclude_kernel = 1, .exclude_hv = 1,
  };
  return syscall(SYS_perf_event_open, &wanted, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static long counted(int fd) {
  long count;
  if (fd < 0) return -1;
  if (read(fd, &count, sizeof count) != sizeof count) count = -1;
  close(fd);
  return count;
}

/* A child that waits to be traced before it becomes the program. */
static pid_t start_stopped(struct job *job) {
  pid_t pid = fork();
  if (pid < 0) fail("fork");
  if (pid) return pid;
  dup2(job->in, 0);
  dup2(job->out, 1);
  ptrace(PTRACE_TRACEME, 0, NULL, NULL);
  raise(SIGSTOP);
  execve(job->program, (char *[]){job->program, NULL}, job->environment);
  _exit(127);
}

/* System calls are counted by tracing: their tracepoint needs a file system that is not mounted everywhere. */
static void count_one(void) {
  struct job job;
  int status;
  prepare(&job);
  pid_t program = start_stopped(&job);
  if (waitpid(program, &status, 0) != program) fail("waitpid");
  int faults = open_counter(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS_MIN, program);
  int instructions = open_counter(PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS, program);
  long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
  if (ptrace(PTRACE_SETOPTIONS, program, NULL, options)) fail("PTRACE_SETOPTIONS");
  ptrace(PTRACE_SYSCALL, program, NULL, NULL);
  long calls = 0;
  int has_begun = 0; /* the program is there: the first exec has been */
  for (pid_t pid; (pid = waitpid(-1, &status, __WALL)) > 0;) {
    if (!WIFSTOPPED(status)) {
      if (pid == program) job.status = status_of(status);
      continue;
    }
    struct __ptrace_syscall_info info = {0};
    int signal = WSTOPSIG(status), event = status >> 16;
    if (event == PTRACE_EVENT_EXEC) has_begun = 1;
    if (signal == (SIGTRAP | 0x80) && ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) > 0)
      calls += has_begun && info.op == PTRACE_SYSCALL_INFO_ENTRY;
    int is_tracers = event || signal == (SIGTRAP | 0x80) || signal == SIGSTOP; /* a new child begins with SIGSTOP */
    ptrace(PTRACE_SYSCALL, pid, NULL, (long)(is_tracers ? 0 : signal));
  }
  printf("%ld %ld ", calls, counted(faults));
  printf("%ld %d\n", counted(instructions), job.status);
  fflush(stdout);
  release(&job);
}

int main(void) {
  for (char *line; (line = next_line()); free(line)) {
    char *argument = line, *verb = strsep(&argument, "\t");
    if (argument && !strcmp(verb, "pause")) usleep(atoi(argument));
    else if (argument && !strcmp(verb, "run")) run(atoi(argument));
    else if (!strcmp(verb, "count")) count_one();
    else errno = EINVAL, fail(line);
  }
  return 0;
}

/* Traffic between two network namespaces, for bench/datapath.ts. Each run prints one line of JSON, with the processor time of the whole
 * machine during it: what a data path costs is spent in the kernel, in either host, and in processes of its own.
 *
 *   traffic serve PORT                             answers all of the below, until it is killed; prints "ready" first
 *   traffic tcp ADDRESS PORT STREAMS MS            sends as fast as it can; {"seconds", "bytes" that arrived, "cpuSeconds"}
 *   traffic latency ADDRESS PORT MS                a byte to and fro on one connection; {"requests", "medianUs", "p99Us"}
 *   traffic udp ADDRESS PORT SIZE MS               datagrams of SIZE bytes as fast as it can; {"seconds", "sent", "received", "cpuSeconds"}
 *   traffic knock ADDRESS PORT MS                  a datagram with the time each MS milliseconds, until it is killed
 *   traffic await ADDRESS PORT INNER               waits for a datagram that carries such a one to INNER; {"atMs"}, CLOCK_MONOTONIC, {"wayMs"} since it was sent
 *   traffic publish FROM TO                        renames a file when a line comes on stdin; {"atMs"}, before it does; prints "ready" first, as the next one
 *   traffic wait-for DIRECTORY NAME                waits until a file is moved to that name; {"atMs"}
 *
 * IPv4 only. The first byte of a connection says what it is for. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SINK = 'S', ECHO = 'E', COUNT = 'C', MAX_STREAMS = 64, CHUNK = 128 << 10, BATCH = 64, MAX_DATAGRAM = 1500, MAX_REQUESTS = 1 << 20 };

static char chunk[CHUNK];

/* Datagrams that came with the number of the run, which is in their first bytes: late ones of another run do not count. */
static struct { volatile uint32_t run; volatile uint64_t received; } *counted;

static void fail(const char *what) {
  fprintf(stderr, "traffic: %s: %s\n", what, strerror(errno));
  exit(1);
}

static double now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

/* Seconds in which a processor was not idle, of all processors. */
static double cpu_seconds(void) {
  FILE *file = fopen("/proc/stat", "r");
  unsigned long long user, nice, system, idle, wait, irq, softirq;
  if (!file || fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &wait, &irq, &softirq) != 7)
    fail("/proc/stat");
  fclose(file);
  return (double)(user + nice + system + irq + softirq) / (double)sysconf(_SC_CLK_TCK);
}

static struct sockaddr_in address_of(const char *address, const char *port) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
  if (inet_pton(AF_INET, address, &at.sin_addr) != 1) fail(address);
  return at;
}

static int bound(int type, struct sockaddr_in at) {
  int fd = socket(AF_INET, type, 0), on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0) fail("bind");
  return fd;
}

static int connected(struct sockaddr_in to, char purpose) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) fail("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (write(fd, &purpose, 1) != 1) fail("write");
  return fd;
}

static uint64_t answer_of(int fd) {
  uint64_t value;
  if (recv(fd, &value, sizeof value, MSG_WAITALL) != sizeof value) fail("the server's answer");
  return value;
}

/* --- The server --- */

static void answer(int fd, uint64_t value) {
  if (write(fd, &value, sizeof value) != sizeof value) exit(1);
}

static void serve_connection(int fd) {
  char purpose;
  uint64_t total = 0;
  ssize_t length;
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (read(fd, &purpose, 1) != 1) exit(1);
  if (purpose == SINK) {
    while ((length = read(fd, chunk, sizeof chunk)) > 0) total += (uint64_t)length;
    answer(fd, total);
  } else if (purpose == ECHO) {
    while ((length = read(fd, chunk, sizeof chunk)) > 0)
      if (write(fd, chunk, (size_t)length) != length) break;
  } else if (purpose == COUNT) {
    uint32_t run;
    while (recv(fd, &run, sizeof run, MSG_WAITALL) == sizeof run) {
      if (run != 0) {
        counted->run = run;
        counted->received = 0;
      }
      answer(fd, counted->received);
    }
  }
  exit(0);
}

static void count_datagrams(int fd) {
  static char datagrams[BATCH][MAX_DATAGRAM];
  struct mmsghdr messages[BATCH];
  struct iovec parts[BATCH];
  for (int i = 0; i < BATCH; i++) {
    parts[i] = (struct iovec){.iov_base = datagrams[i], .iov_len = MAX_DATAGRAM};
    messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &parts[i], .msg_iovlen = 1}};
  }
  for (;;) {
    int count = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
    for (int i = 0; i < count; i++) {
      uint32_t run;
      memcpy(&run, datagrams[i], sizeof run);
      if (run == counted->run) counted->received++;
    }
  }
}

static void serve(const char *port) {
  struct sockaddr_in any = address_of("0.0.0.0", port);
  int listener = bound(SOCK_STREAM, any), datagrams = bound(SOCK_DGRAM, any);
  counted = mmap(NULL, sizeof *counted, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (counted == MAP_FAILED || listen(listener, MAX_STREAMS) < 0) fail("listen");
  signal(SIGCHLD, SIG_IGN);
  if (fork() == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    count_datagrams(datagrams);
  }
  puts("ready");
  fflush(stdout);
  for (;;) {
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) fail("accept");
    if (fork() == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      serve_connection(fd);
    }
    close(fd);
  }
}

/* --- The client --- */

static void send_stream(struct sockaddr_in to, double seconds, int report) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  int fd = connected(to, SINK);
  for (double end = now() + seconds; now() < end;)
    if (write(fd, chunk, sizeof chunk) < 0) fail("write");
  shutdown(fd, SHUT_WR);
  uint64_t total = answer_of(fd);
  if (write(report, &total, sizeof total) != sizeof total) fail("pipe");
  exit(0);
}

static void tcp(struct sockaddr_in to, int streams, double seconds) {
  int report[2];
  uint64_t total = 0, one;
  if (pipe(report) < 0) fail("pipe");
  double began = now(), cpu = cpu_seconds();
  for (int i = 0; i < streams; i++)
    if (fork() == 0) send_stream(to, seconds, report[1]);
  close(report[1]);
  for (int i = 0; i < streams; i++, total += one)
    if (read(report[0], &one, sizeof one) != sizeof one) fail("a stream");
  printf("{\"seconds\":%.6f,\"bytes\":%llu,\"cpuSeconds\":%.3f}\n", now() - began, (unsigned long long)total, cpu_seconds() - cpu);
}

static int by_size(const void *one, const void *other) {
  double difference = *(const double *)one - *(const double *)other;
  return difference < 0 ? -1 : difference > 0;
}

static void latency(struct sockaddr_in to, double seconds) {
  static double times[MAX_REQUESTS];
  int fd = connected(to, ECHO), count = 0;
  char byte = 0;
  for (double began = now(), at = began; at < began + seconds && count < MAX_REQUESTS; count++) {
    if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1) fail("a request");
    double answered = now();
    times[count] = answered - at;
    at = answered;
  }
  qsort(times, (size_t)count, sizeof times[0], by_size);
  printf("{\"requests\":%d,\"medianUs\":%.2f,\"p99Us\":%.2f}\n", count, times[count / 2] * 1e6, times[count * 99 / 100] * 1e6);
}

static void udp(struct sockaddr_in to, size_t size, double seconds) {
  uint32_t run = (uint32_t)getpid(), ask = 0;
  int control = connected(to, COUNT), fd = socket(AF_INET, SOCK_DGRAM, 0);
  uint64_t sent = 0;
  if (size < sizeof run || size > MAX_DATAGRAM) fail("a size that cannot be");
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) fail("connect");
  if (write(control, &run, sizeof run) != sizeof run) fail("write");
  answer_of(control);
  memcpy(chunk, &run, sizeof run);
  double began = now(), cpu = cpu_seconds();
  for (double end = began + seconds; now() < end;)
    for (int i = 0; i < 16; i++)
      if (send(fd, chunk, size, 0) >= 0) sent++; /* ENOBUFS: the queue is full */
  double took = now() - began;
  usleep(20000); /* what is under way */
  if (write(control, &ask, sizeof ask) != sizeof ask) fail("write");
  uint64_t received = answer_of(control);
  printf("{\"seconds\":%.6f,\"sent\":%llu,\"received\":%llu,\"cpuSeconds\":%.3f}\n", took, (unsigned long long)sent, (unsigned long long)received,
         cpu_seconds() - cpu);
}

static void knock(struct sockaddr_in to, unsigned int pause_ms) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  for (;; usleep(pause_ms * 1000)) {
    double at = now();
    sendto(fd, &at, sizeof at, 0, (struct sockaddr *)&to, sizeof to);
  }
}

static void await(struct sockaddr_in at, const char *inner) {
  enum { DESTINATION = 16, PAYLOAD = 28 }; /* in an IPv4 packet without options, with UDP in it */
  double sent;
  int fd = bound(SOCK_DGRAM, at);
  struct in_addr wanted;
  if (inet_pton(AF_INET, inner, &wanted) != 1) fail(inner);
  puts("ready");
  fflush(stdout);
  for (;;) {
    ssize_t length = recv(fd, chunk, sizeof chunk, 0);
    if (length >= PAYLOAD + (ssize_t)sizeof sent && memcmp(chunk + DESTINATION, &wanted, 4) == 0) break;
  }
  double arrived = now();
  memcpy(&sent, chunk + PAYLOAD, sizeof sent);
  printf("{\"atMs\":%.3f,\"wayMs\":%.3f}\n", arrived * 1e3, (arrived - sent) * 1e3);
}

static void publish(const char *from, const char *to) {
  puts("ready");
  fflush(stdout);
  if (!fgets(chunk, sizeof chunk, stdin)) fail("stdin");
  double at = now();
  if (rename(from, to) < 0) fail(to);
  printf("{\"atMs\":%.3f}\n", at * 1e3);
}

static void wait_for(const char *directory, const char *name) {
  int fd = inotify_init1(0);
  if (fd < 0 || inotify_add_watch(fd, directory, IN_MOVED_TO) < 0) fail(directory);
  puts("ready");
  fflush(stdout);
  for (;;) {
    ssize_t length = read(fd, chunk, sizeof chunk);
    double at = now();
    for (char *place = chunk; place < chunk + length;) {
      struct inotify_event *event = (struct inotify_event *)place;
      if (event->len > 0 && strcmp(event->name, name) == 0) {
        printf("{\"atMs\":%.3f}\n", at * 1e3);
        return;
      }
      place += sizeof *event + event->len;
    }
  }
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  if (strcmp(mode, "serve") == 0 && argc == 3) serve(argv[2]);
  if (strcmp(mode, "publish") == 0 && argc == 4) {
    publish(argv[2], argv[3]);
    return 0;
  }
  if (strcmp(mode, "wait-for") == 0 && argc == 4) {
    wait_for(argv[2], argv[3]);
    return 0;
  }
  if (argc < 5) {
    fprintf(stderr, "traffic: see the top of bench/traffic.c\n");
    return 2;
  }
  struct sockaddr_in at = address_of(argv[2], argv[3]);
  if (strcmp(mode, "tcp") == 0 && argc == 6) tcp(at, atoi(argv[4]), atof(argv[5]) / 1e3);
  else if (strcmp(mode, "latency") == 0) latency(at, atof(argv[4]) / 1e3);
  else if (strcmp(mode, "udp") == 0 && argc == 6) udp(at, (size_t)atoi(argv[4]), atof(argv[5]) / 1e3);
  else if (strcmp(mode, "knock") == 0) knock(at, (unsigned int)atoi(argv[4]));
  else if (strcmp(mode, "await") == 0) await(at, argv[4]);
  return 0;
}

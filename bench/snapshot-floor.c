/* The floor of bench/snapshot.ts: what the kernel charges for the entries of <peers> peers on a VXLAN device.
 *
 * Not a daemon: nothing is parsed, compared or kept. The same messages as ours, 128 to a send of which the last is
 * acknowledged: all neighbours, all forwarding entries, all routes. Prints the milliseconds it took.
 * Usage: snapshot-floor <peers> <ifindex> */
#include <arpa/inet.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { CHUNK = 128, PROTOCOL = 143 };

static char batch[CHUNK * 128], answer[8192];
static size_t size;
static struct nlmsghdr *message;
static int fd, waiting;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

/* Begins a message with its fixed part. */
static void begin(int type, const void *header, size_t length) {
  message = (struct nlmsghdr *)(batch + size);
  *message = (struct nlmsghdr){.nlmsg_len = NLMSG_LENGTH(length), .nlmsg_type = type,
                               .nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE};
  memcpy(NLMSG_DATA(message), header, length);
}

static void put(int type, const void *bytes, size_t length) {
  struct rtattr *at = (void *)((char *)message + NLMSG_ALIGN(message->nlmsg_len));
  *at = (struct rtattr){.rta_type = type, .rta_len = RTA_LENGTH(length)};
  memcpy(RTA_DATA(at), bytes, length);
  message->nlmsg_len = NLMSG_ALIGN(message->nlmsg_len) + RTA_ALIGN(at->rta_len);
}

/* Sends what has been collected, and waits for its one acknowledgement. */
static void flush(void) {
  message->nlmsg_flags |= NLM_F_ACK;
  if (send(fd, batch, size, 0) < 0) fail("send");
  if (recv(fd, answer, sizeof answer, 0) < 0) fail("recv");
  const struct nlmsgerr *error = NLMSG_DATA((struct nlmsghdr *)answer);
  if (error->error != 0) { fprintf(stderr, "refused: %s\n", strerror(-error->error)); exit(1); }
  size = 0;
  waiting = 0;
}

static void end(void) {
  size += NLMSG_ALIGN(message->nlmsg_len);
  if (++waiting == CHUNK) flush();
}

static void neighbour(int family, int flags, int index, unsigned address, const unsigned char *mac) {
  begin(RTM_NEWNEIGH, &(struct ndmsg){.ndm_family = family, .ndm_ifindex = index, .ndm_state = NUD_PERMANENT, .ndm_flags = flags},
        sizeof(struct ndmsg));
  put(NDA_DST, &address, 4);
  put(NDA_LLADDR, mac, 6);
  end();
}

static void route(int index, unsigned subnet) {
  begin(RTM_NEWROUTE, &(struct rtmsg){.rtm_family = AF_INET, .rtm_dst_len = 24, .rtm_table = RT_TABLE_MAIN,
                                     .rtm_protocol = PROTOCOL, .rtm_type = RTN_UNICAST, .rtm_flags = RTNH_F_ONLINK},
        sizeof(struct rtmsg));
  put(RTA_DST, &subnet, 4);
  put(RTA_GATEWAY, &subnet, 4);
  put(RTA_OIF, &index, 4);
  end();
}

int main(int argc, char **argv) {
  if (argc != 3) { fprintf(stderr, "usage: %s <peers> <ifindex>\n", argv[0]); return 2; }
  const int peers = atoi(argv[1]), index = atoi(argv[2]);
  fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  if (fd < 0) fail("socket");
  struct timespec from, to;
  clock_gettime(CLOCK_MONOTONIC, &from);
  for (int pass = 0; pass < 3; pass++) {
    for (int i = 0; i < peers; i++) {
      const unsigned subnet = htonl(0x0a800000 + (i << 8)), host = htonl(0xac100000 + i);
      const unsigned char mac[6] = {2, 0, 0, 0, i >> 8, i & 0xff};
      if (pass == 0) neighbour(AF_INET, 0, index, subnet, mac);
      if (pass == 1) neighbour(AF_BRIDGE, NTF_SELF, index, host, mac);
      if (pass == 2) route(index, subnet);
    }
  }
  if (waiting > 0) flush();
  clock_gettime(CLOCK_MONOTONIC, &to);
  printf("%.2f\n", (to.tv_sec - from.tv_sec) * 1e3 + (to.tv_nsec - from.tv_nsec) / 1e6);
  return 0;
}

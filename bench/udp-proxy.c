/* The floor that flanneld's udp data path is compared with: flannel's wire format (one IPv4 packet is the payload of one UDP
 * datagram) carried the plain way, one packet per system call, in one thread, as the C program within flannel does it.
 *
 *   udp-proxy TUN-NAME LOCAL-IP PORT OWN-SUBNET PEER-SUBNET=PEER-IP ...
 *
 * Makes the TUN device and binds LOCAL-IP:PORT, then prints the device's name; address, MTU and route are the caller's to set. Peers
 * listen on the same port. The first subnet that holds a destination wins; packets for OWN-SUBNET and for no subnet are dropped. The TTL
 * goes down by one on either side. SIGTERM and SIGINT end it, and the device with it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/ip.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_PEERS = 1024, MAX_PACKET = 65535 };

/* All addresses in network byte order. */
struct subnet {
  uint32_t base, mask;
};
static struct peer {
  struct subnet subnet;
  struct sockaddr_in to;
} peers[MAX_PEERS];
static int peer_count;
static struct subnet own;
static uint8_t packet[MAX_PACKET];
static volatile sig_atomic_t ending;

static void end(int signal) {
  (void)signal;
  ending = 1;
}

static void fail(const char *what) {
  fprintf(stderr, "udp-proxy: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void usage(const char *about) {
  fprintf(stderr, "udp-proxy: %s\nusage: udp-proxy TUN-NAME LOCAL-IP PORT OWN-SUBNET PEER-SUBNET=PEER-IP ...\n", about);
  exit(2);
}

static struct in_addr parse_address(const char *text) {
  struct in_addr address;
  if (inet_pton(AF_INET, text, &address) != 1) usage(text);
  return address;
}

/* "10.1.3.0/24"; writes into the text. */
static struct subnet parse_subnet(char *text) {
  char *slash = strchr(text, '/');
  if (!slash) usage(text);
  *slash = 0;
  int length = atoi(slash + 1);
  if (length < 1 || length > 32) usage(slash + 1);
  uint32_t mask = htonl(0xffffffffu << (32 - length));
  return (struct subnet){.base = parse_address(text).s_addr & mask, .mask = mask};
}

static int contains(const struct subnet *subnet, uint32_t address) { return (address & subnet->mask) == subnet->base; }

static int open_tun(const char *name) {
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) fail("/dev/net/tun");
  struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (ioctl(fd, TUNSETIFF, &request) < 0) fail("TUNSETIFF");
  puts(request.ifr_name);
  return fd;
}

static int open_socket(const char *address, int port) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = parse_address(address)};
  if (bind(fd, (struct sockaddr *)&local, sizeof local) < 0) fail("bind");
  return fd;
}

/* Reports whether the packet may go on; the header's checksum follows the TTL (RFC 1624). */
static int decrement_ttl(struct iphdr *header) {
  if (header->ttl <= 1) return 0;
  header->ttl--;
  uint32_t sum = header->check + htons(0x0100);
  header->check = sum + (sum >= 0xffff);
  return 1;
}

/* Both return whether there was a packet; one that is dropped counts. */
static int tun_to_udp(int tun, int udp) {
  ssize_t size = read(tun, packet, sizeof packet);
  if (size < 0) {
    if (errno != EAGAIN && errno != EINTR) fail("read of the TUN device");
    return 0;
  }
  struct iphdr *header = (struct iphdr *)packet;
  if (size < (ssize_t)sizeof *header || header->version != 4 || contains(&own, header->daddr)) return 1;
  for (struct peer *peer = peers; peer < peers + peer_count; peer++) {
    if (!contains(&peer->subnet, header->daddr)) continue;
    if (decrement_ttl(header)) sendto(udp, packet, size, 0, (struct sockaddr *)&peer->to, sizeof peer->to);
    break;
  }
  return 1;
}

static int udp_to_tun(int udp, int tun) {
  ssize_t size = recv(udp, packet, sizeof packet, 0);
  if (size < 0) return errno != EAGAIN && errno != EINTR; /* others report what an earlier datagram met: an ICMP error */
  struct iphdr *header = (struct iphdr *)packet;
  if (size < (ssize_t)sizeof *header || header->version != 4 || !decrement_ttl(header)) return 1;
  if (write(tun, packet, size) < 0 && errno == EBADFD) fail("write to the TUN device");
  return 1;
}

int main(int argc, char **argv) {
  if (argc < 6) usage("too few arguments");
  int port = atoi(argv[3]);
  if (port < 1 || port > 65535) usage(argv[3]);
  own = parse_subnet(argv[4]);
  for (int i = 5; i < argc; i++) {
    char *equals = strchr(argv[i], '=');
    if (!equals || peer_count == MAX_PEERS) usage(argv[i]);
    *equals = 0;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = parse_address(equals + 1)};
    peers[peer_count++] = (struct peer){.subnet = parse_subnet(argv[i]), .to = to};
  }
  struct sigaction action = {.sa_handler = end};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  int udp = open_socket(argv[2], port), tun = open_tun(argv[1]);
  fflush(stdout);
  struct pollfd fds[] = {{.fd = tun, .events = POLLIN}, {.fd = udp, .events = POLLIN}};
  while (!ending) {
    if (poll(fds, 2, -1) < 0) continue; /* a signal */
    while (!ending && tun_to_udp(tun, udp) + udp_to_tun(udp, tun) > 0) {
    }
  }
  return 0;
}

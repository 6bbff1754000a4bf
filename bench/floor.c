/* The floor of the benchmark: what the kernel alone charges for ADD and DEL of bridge + host-local (+ masquerade).
 *
 * Not a plugin. It knows in advance what a plugin has to find out: nothing is parsed, validated, hashed or undone. What is
 * counted is the kernel's part that no implementation can leave out, by the cheapest calls that do it. (Not counted: what a
 * plugin does beyond, as marking the link for GC, an index of the reservations, asking whether rules are there already.)
 *
 *   ADD  standard input read; the namespace opened and checked
 *        GETLINK of the bridge (exists), its accept_ra written
 *        NEWLINK: the veth pair in one message, one end born in the container, the other up and in the bridge; its accept_ra
 *        GETLINK of either end (the result holds their MACs)
 *        reservation: directory opened, lock file taken, last_reserved_ip read, the address' file made, last_reserved_ip written
 *        in the container: accept_dad and arp_notify written; address, link up, default route in one send
 *        GETADDR of the bridge (has the gateway's address); ip_forward read
 *        masquerade: one transaction. That base chain and table are there shows in its success
 *        GETLINK of the host's end until it is operational; GETLINK of the bridge for its MAC; the result written
 *   DEL  masquerade: the shared chain listed to find the rule, then one transaction; DELLINK inside the container; lock,
 *        the reservation read and removed. In this order, in which the kernel's waits overlap.
 *   VERSION  the answer written: what it costs to start a static C program that says something.
 *
 * Called `host-local`, it makes or removes the reservation alone. Called `macvlan` or `host-device`, it makes the macvlan interface of
 * FLOOR_PARENT, or moves that interface into the container and back; reservation and address as above, no route. IPv4 only.
 *
 * Environment: CNI_COMMAND, CNI_NETNS, CNI_IFNAME, CNI_CONTAINERID, and instead of a configuration FLOOR_BRIDGE,
 * FLOOR_GATEWAY (address; the network is its /16), FLOOR_DATA (the network's directory of reservations), FLOOR_CHAIN and
 * FLOOR_PARENT and FLOOR_MASQUERADE (iptables, nftables, absent). DEL takes the address from prevResult, the first "address":"..." it sees. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

enum { PREFIX_LENGTH = 16, NSFS_MAGIC_NUMBER = 0x6e736673 };

static char input[1 << 16], answer[1 << 16];

static void fail(const char *what) {
  printf("{\"code\": 999, \"msg\": \"floor: %s: %s\"}\n", what, strerror(errno));
  exit(1);
}

static const char *need(const char *name) {
  const char *value = getenv(name);
  errno = EINVAL;
  if (!value) fail(name);
  return value;
}

/* ---- Netlink messages: written one behind the other into `batch`, sent together. */

static char batch[1 << 14];
static size_t batch_size;
static struct nlmsghdr *message;

static void *append(const void *bytes, size_t size) {
  void *at = batch + batch_size;
  if (bytes) memcpy(at, bytes, size);
  batch_size += NLMSG_ALIGN(size);
  if (message) message->nlmsg_len = batch + batch_size - (char *)message;
  return at;
}

/* Begins a message with its fixed part. */
static void begin(int type, int flags, const void *header, size_t size) {
  static unsigned sequence;
  message = (struct nlmsghdr *)(batch + batch_size);
  append(&(struct nlmsghdr){.nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags, .nlmsg_seq = ++sequence},
         sizeof *message);
  append(header, size);
}

static void put(int type, const void *bytes, size_t size) {
  append(&(struct rtattr){.rta_type = type, .rta_len = RTA_LENGTH(size)}, sizeof(struct rtattr));
  append(bytes, size);
}
static void put_text(int type, const char *text) { put(type, text, strlen(text) + 1); }
static void put_u32(int type, unsigned value) { put(type, &value, 4); }
static void put_be32(int type, unsigned value) { put_u32(type, htonl(value)); }

static struct rtattr *open_nest(int type) {
  return append(&(struct rtattr){.rta_type = type | NLA_F_NESTED, .rta_len = 4}, sizeof(struct rtattr));
}
static void close_nest(struct rtattr *nest) { nest->rta_len = batch + batch_size - (char *)nest; }

static int netlink(int family) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, family);
  if (fd < 0) fail("socket");
  return fd;
}

static void send_batch(int fd) {
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  if (sendto(fd, batch, batch_size, 0, (void *)&kernel, sizeof kernel) < 0) fail("sendto");
  batch_size = 0;
  message = NULL;
}

/* One datagram of answers into `answer`; its length. */
static size_t receive(int fd) {
  ssize_t length = recv(fd, answer, sizeof answer, 0);
  if (length < 0) fail("recv");
  return length;
}

/* Sends what was begun and reads `acknowledged` answers without data. The first refusal ends the program. */
static void request(int fd, int acknowledged, const char *what) {
  send_batch(fd);
  while (acknowledged > 0) {
    size_t length = receive(fd);
    for (struct nlmsghdr *m = (void *)answer; NLMSG_OK(m, length); m = NLMSG_NEXT(m, length)) {
      if (m->nlmsg_type != NLMSG_ERROR) continue;
      errno = -((struct nlmsgerr *)NLMSG_DATA(m))->error;
      if (errno) fail(what);
      acknowledged--;
    }
  }
}

static struct rtattr *find(struct nlmsghdr *m, size_t header, int type) {
  struct rtattr *a = (void *)((char *)NLMSG_DATA(m) + NLMSG_ALIGN(header));
  for (int rest = m->nlmsg_len - NLMSG_SPACE(header); RTA_OK(a, rest); a = RTA_NEXT(a, rest))
    if ((a->rta_type & NLA_TYPE_MASK) == type) return a;
  return NULL;
}

/* Sends a dump and calls `each` with every message of the answer. Reports whether it is whole: a change by others during the dump may hide objects. */
static int dump(int fd, void (*each)(struct nlmsghdr *)) {
  int interrupted = 0;
  send_batch(fd);
  for (;;) {
    size_t length = receive(fd);
    for (struct nlmsghdr *m = (void *)answer; NLMSG_OK(m, length); m = NLMSG_NEXT(m, length)) {
      interrupted |= m->nlmsg_flags & NLM_F_DUMP_INTR;
      if (m->nlmsg_type == NLMSG_DONE) return !interrupted;
      if (m->nlmsg_type == NLMSG_ERROR) errno = -((struct nlmsgerr *)NLMSG_DATA(m))->error, fail("dump");
      each(m);
    }
  }
}

/* ---- Links */

struct link {
  int index, operational;
  unsigned char mac[6];
};

static struct link get_link(int fd, const char *name) {
  begin(RTM_GETLINK, 0, &(struct ifinfomsg){0}, sizeof(struct ifinfomsg));
  put_text(IFLA_IFNAME, name);
  send_batch(fd);
  receive(fd);
  struct nlmsghdr *m = (void *)answer;
  errno = ENODEV;
  if (m->nlmsg_type != RTM_NEWLINK) fail(name);
  struct link link = {.index = ((struct ifinfomsg *)NLMSG_DATA(m))->ifi_index};
  memcpy(link.mac, RTA_DATA(find(m, sizeof(struct ifinfomsg), IFLA_ADDRESS)), 6);
  link.operational = *(unsigned char *)RTA_DATA(find(m, sizeof(struct ifinfomsg), IFLA_OPERSTATE)) == IF_OPER_UP;
  return link;
}

/* ip link add <host_end> master <bridge> up type veth peer name <ifname> netns <netns> */
static void make_pair(int fd, int bridge, const char *host_end, const char *ifname, int netns) {
  begin(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &(struct ifinfomsg){.ifi_flags = IFF_UP, .ifi_change = IFF_UP},
        sizeof(struct ifinfomsg));
  put_text(IFLA_IFNAME, host_end);
  put_u32(IFLA_MASTER, bridge);
  struct rtattr *info = open_nest(IFLA_LINKINFO);
  put_text(IFLA_INFO_KIND, "veth");
  struct rtattr *data = open_nest(IFLA_INFO_DATA), *peer = open_nest(VETH_INFO_PEER);
  append(&(struct ifinfomsg){0}, sizeof(struct ifinfomsg));
  put_text(IFLA_IFNAME, ifname);
  put_u32(IFLA_NET_NS_FD, netns);
  close_nest(peer), close_nest(data), close_nest(info);
  request(fd, 1, "veth pair");
}

/* ip link add <ifname> link <parent> netns <netns> type macvlan mode bridge */
static void make_macvlan(int fd, int parent, const char *ifname, int netns) {
  begin(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &(struct ifinfomsg){0}, sizeof(struct ifinfomsg));
  put_text(IFLA_IFNAME, ifname);
  put_u32(IFLA_LINK, parent);
  put_u32(IFLA_NET_NS_FD, netns);
  struct rtattr *info = open_nest(IFLA_LINKINFO);
  put_text(IFLA_INFO_KIND, "macvlan");
  struct rtattr *data = open_nest(IFLA_INFO_DATA);
  put_u32(IFLA_MACVLAN_MODE, MACVLAN_MODE_BRIDGE);
  close_nest(data), close_nest(info);
  request(fd, 1, "macvlan");
}

/* ip link set <index> netns <netns> name <name> */
static void move_link(int fd, int index, const char *name, int netns) {
  begin(RTM_SETLINK, NLM_F_ACK, &(struct ifinfomsg){.ifi_index = index}, sizeof(struct ifinfomsg));
  put_text(IFLA_IFNAME, name);
  put_u32(IFLA_NET_NS_FD, netns);
  request(fd, 1, "move the link");
}

/* Address, state up and, where there is a gateway, default route of the container's end. */
static void configure(int fd, int index, struct in_addr address, struct in_addr gateway) {
  begin(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
        &(struct ifaddrmsg){.ifa_family = AF_INET, .ifa_prefixlen = PREFIX_LENGTH, .ifa_index = index}, sizeof(struct ifaddrmsg));
  put(IFA_LOCAL, &address, 4);
  put(IFA_ADDRESS, &address, 4);
  put_be32(IFA_BROADCAST, ntohl(address.s_addr) | 0xffffffffu >> PREFIX_LENGTH);
  begin(RTM_NEWLINK, NLM_F_ACK, &(struct ifinfomsg){.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP},
        sizeof(struct ifinfomsg));
  if (!gateway.s_addr) {
    request(fd, 2, "address or state");
    return;
  }
  begin(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE,
        &(struct rtmsg){.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT, .rtm_type = RTN_UNICAST},
        sizeof(struct rtmsg));
  put(RTA_GATEWAY, &gateway, 4);
  put_u32(RTA_OIF, index);
  request(fd, 3, "address, state or route");
}

static unsigned wanted_address;
static int wanted_seen;
static void look_for_address(struct nlmsghdr *m) {
  struct rtattr *local = find(m, sizeof(struct ifaddrmsg), IFA_LOCAL);
  if (local && !memcmp(RTA_DATA(local), &wanted_address, 4)) wanted_seen = 1;
}

static void check_gateway(int fd, int bridge, struct in_addr gateway) {
  begin(RTM_GETADDR, NLM_F_DUMP, &(struct ifaddrmsg){.ifa_index = bridge}, sizeof(struct ifaddrmsg));
  wanted_address = gateway.s_addr;
  dump(fd, look_for_address);
  errno = ENOENT;
  if (!wanted_seen) fail("the gateway's address on the bridge");
}

static void sysctl(const char *value, const char *format, const char *name) {
  char path[128];
  snprintf(path, sizeof path, format, name);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, value, 1) != 1) fail(path);
  close(fd);
}

/* ---- Reservations, in host-local's files */

static int lock_directory(const char *directory) {
  int fd = open(directory, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail(directory);
  int lock = openat(fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0750);
  if (lock < 0 || flock(lock, LOCK_EX)) fail("lock");
  return fd;
}

static void write_file(int directory, const char *name, int flags, const char *text) {
  int fd = openat(directory, name, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);
  if (fd < 0 || write(fd, text, strlen(text)) < 0) fail(name);
  if (!(flags & O_EXCL) && ftruncate(fd, strlen(text))) fail(name);
  close(fd);
}

/* The first free address behind the last one given out, into `text`. */
static struct in_addr reserve(char text[INET_ADDRSTRLEN]) {
  struct in_addr address;
  char owner[256];
  int directory = lock_directory(need("FLOOR_DATA"));
  int last = openat(directory, "last_reserved_ip.0", O_RDONLY | O_CLOEXEC);
  ssize_t length = last < 0 ? 0 : read(last, text, INET_ADDRSTRLEN - 1);
  close(last);
  text[length < 0 ? 0 : length] = 0;
  if (!inet_aton(text, &address)) inet_aton(need("FLOOR_GATEWAY"), &address);
  snprintf(owner, sizeof owner, "%s\r\n%s", need("CNI_CONTAINERID"), need("CNI_IFNAME"));
  do {
    address.s_addr = htonl(ntohl(address.s_addr) + 1);
    strcpy(text, inet_ntoa(address));
  } while (faccessat(directory, text, F_OK, 0) == 0);
  write_file(directory, text, O_EXCL, owner);
  write_file(directory, "last_reserved_ip.0", 0, text);
  return address;
}

static void release(void) {
  char name[INET_ADDRSTRLEN], owner[256];
  const char *found = strstr(input, "\"address\":\"");
  errno = ENOENT;
  if (!found || sscanf(found + 11, "%15[0-9.]", name) != 1) fail("prevResult");
  int directory = lock_directory(need("FLOOR_DATA"));
  int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || read(fd, owner, sizeof owner) < 0 || unlinkat(directory, name, 0)) fail(name);
}

/* ---- Masquerade. Rules are made of expressions: { 1 name, 2 { attributes } } */

static int iptables;
static const char *chain; /* of this container, with iptables; its comment's text, with nftables */

static void nft(int type, int flags, int family) {
  begin(NFNL_SUBSYS_NFTABLES << 8 | type, flags, &(struct nfgenmsg){.nfgen_family = family}, sizeof(struct nfgenmsg));
}
static void batch_mark(int type) {
  begin(type, 0, &(struct nfgenmsg){.res_id = htons(NFNL_SUBSYS_NFTABLES)}, sizeof(struct nfgenmsg));
}

static struct rtattr *element, *expression;
static void open_expression(const char *name) {
  element = open_nest(NFTA_LIST_ELEM);
  put_text(NFTA_EXPR_NAME, name);
  expression = open_nest(NFTA_EXPR_DATA);
}
static void close_expression(void) { close_nest(expression), close_nest(element); }

static void put_data(int type, const void *bytes, size_t size) {
  struct rtattr *data = open_nest(type);
  put(NFTA_DATA_VALUE, bytes, size);
  close_nest(data);
}

static void load_address(int offset) {
  open_expression("payload");
  put_be32(NFTA_PAYLOAD_DREG, NFT_REG_1);
  put_be32(NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
  put_be32(NFTA_PAYLOAD_OFFSET, offset);
  put_be32(NFTA_PAYLOAD_LEN, 4);
  close_expression();
}

static void mask(int length) {
  unsigned bits = htonl(~0u << (32 - length)), none = 0;
  open_expression("bitwise");
  put_be32(NFTA_BITWISE_SREG, NFT_REG_1);
  put_be32(NFTA_BITWISE_DREG, NFT_REG_1);
  put_be32(NFTA_BITWISE_LEN, 4);
  put_data(NFTA_BITWISE_MASK, &bits, 4);
  put_data(NFTA_BITWISE_XOR, &none, 4);
  close_expression();
}

static void compare(int operation, const void *bytes, size_t size) {
  open_expression("cmp");
  put_be32(NFTA_CMP_SREG, NFT_REG_1);
  put_be32(NFTA_CMP_OP, operation);
  put_data(NFTA_CMP_DATA, bytes, size);
  close_expression();
}

enum { SOURCE = 12, DESTINATION = 16 }; /* offsets in the IPv4 header */

static void match(int offset, int operation, unsigned network, int length) {
  load_address(offset);
  if (length < 32) mask(length), network &= htonl(~0u << (32 - length));
  compare(operation, &network, 4);
}

static void comment(void) {
  char text[256] = "";
  snprintf(text, sizeof text, "name: \"floor\" id: \"%s\"", need("CNI_CONTAINERID"));
  open_expression("match");
  put_text(NFTA_MATCH_NAME, "comment");
  put_be32(NFTA_MATCH_REV, 0);
  put(NFTA_MATCH_INFO, text, sizeof text);
  close_expression();
}

static void counter(void) {
  unsigned long none = 0;
  open_expression("counter");
  put(NFTA_COUNTER_BYTES, &none, 8);
  put(NFTA_COUNTER_PACKETS, &none, 8);
  close_expression();
}

static void verdict(int code, const char *target) {
  open_expression("immediate");
  put_be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
  struct rtattr *data = open_nest(NFTA_IMMEDIATE_DATA), *nest = open_nest(NFTA_DATA_VERDICT);
  put_be32(NFTA_VERDICT_CODE, code);
  if (target) put_text(NFTA_VERDICT_CHAIN, target);
  close_nest(nest), close_nest(data);
  close_expression();
}

static void xt_masquerade(void) {
  unsigned info[6] = {1};
  open_expression("target");
  put_text(NFTA_TARGET_NAME, "MASQUERADE");
  put_be32(NFTA_TARGET_REV, 0);
  put(NFTA_TARGET_INFO, info, sizeof info);
  close_expression();
}

static struct rtattr *open_rule(int flags, const char *in) {
  nft(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND | flags, iptables ? NFPROTO_IPV4 : NFPROTO_INET);
  put_text(NFTA_RULE_TABLE, iptables ? "nat" : "cni_plugins_masquerade");
  put_text(NFTA_RULE_CHAIN, in);
  return open_nest(NFTA_RULE_EXPRESSIONS);
}

/* What iptables sends with every rule; the kernel's extensions look at it. */
static void close_iptables_rule(struct rtattr *expressions) {
  close_nest(expressions);
  struct rtattr *compat = open_nest(NFTA_RULE_COMPAT);
  put_be32(NFTA_RULE_COMPAT_PROTO, 0);
  put_be32(NFTA_RULE_COMPAT_FLAGS, 0);
  close_nest(compat);
}

static unsigned char found_handle[8];
static int found;
static void look_for_own_rule(struct nlmsghdr *m) {
  struct rtattr *handle = find(m, sizeof(struct nfgenmsg), NFTA_RULE_HANDLE);
  if (!handle || !memmem(m, m->nlmsg_len, chain, strlen(chain))) return;
  memcpy(found_handle, RTA_DATA(handle), 8);
  found = 1;
}

static int list_rules(int fd, const char *of) {
  nft(NFT_MSG_GETRULE, NLM_F_DUMP, iptables ? NFPROTO_IPV4 : NFPROTO_INET);
  put_text(NFTA_RULE_TABLE, iptables ? "nat" : "cni_plugins_masquerade");
  put_text(NFTA_RULE_CHAIN, of);
  return dump(fd, look_for_own_rule);
}

static void own_chain(int type, int flags) {
  nft(type, flags, NFPROTO_IPV4);
  put_text(NFTA_CHAIN_TABLE, "nat");
  put_text(NFTA_CHAIN_NAME, chain);
}

/* The container's own chain with two rules, and the jump to it, as the reference plugin has them. */
static void add_iptables(struct in_addr address, struct in_addr gateway) {
  own_chain(NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL);
  struct rtattr *rule = open_rule(0, chain);
  match(DESTINATION, NFT_CMP_EQ, gateway.s_addr, PREFIX_LENGTH), comment(), counter(), verdict(NF_ACCEPT, NULL);
  close_iptables_rule(rule);
  rule = open_rule(0, chain);
  match(DESTINATION, NFT_CMP_NEQ, inet_addr("224.0.0.0"), 4), comment(), counter(), xt_masquerade();
  close_iptables_rule(rule);
  rule = open_rule(NLM_F_ACK, "POSTROUTING");
  match(SOURCE, NFT_CMP_EQ, address.s_addr, 32), comment(), counter(), verdict(NFT_JUMP, chain);
  close_iptables_rule(rule);
}

/* One rule, with the owner in its comment. */
static void add_nftables(struct in_addr address, struct in_addr gateway) {
  char userdata[130] = {0 /* NFTNL_UDATA_RULE_COMMENT */, strlen(chain) + 1};
  unsigned char ipv4 = NFPROTO_IPV4;
  strcpy(userdata + 2, chain);
  struct rtattr *rule = open_rule(NLM_F_ACK, "masq_checks");
  open_expression("meta");
  put_be32(NFTA_META_DREG, NFT_REG_1);
  put_be32(NFTA_META_KEY, NFT_META_NFPROTO);
  close_expression();
  compare(NFT_CMP_EQ, &ipv4, 1);
  match(SOURCE, NFT_CMP_EQ, address.s_addr, 32);
  match(DESTINATION, NFT_CMP_NEQ, gateway.s_addr, PREFIX_LENGTH);
  open_expression("masq");
  close_expression();
  close_nest(rule);
  put(NFTA_RULE_USERDATA, userdata, 2 + strlen(chain) + 1);
}

static void delete_rule(int flags, const char *in, const void *handle) {
  nft(NFT_MSG_DELRULE, flags, iptables ? NFPROTO_IPV4 : NFPROTO_INET);
  put_text(NFTA_RULE_TABLE, iptables ? "nat" : "cni_plugins_masquerade");
  put_text(NFTA_RULE_CHAIN, in);
  put(NFTA_RULE_HANDLE, handle, 8);
}

static int open_firewall(void) {
  const char *backend = getenv("FLOOR_MASQUERADE");
  if (!backend) return -1;
  iptables = !strcmp(backend, "iptables");
  chain = need("FLOOR_CHAIN");
  return netlink(NETLINK_NETFILTER);
}

static void masquerade(int fd, struct in_addr address, struct in_addr gateway) {
  if (fd < 0) return;
  batch_mark(NFNL_MSG_BATCH_BEGIN);
  if (iptables) add_iptables(address, gateway);
  else add_nftables(address, gateway);
  batch_mark(NFNL_MSG_BATCH_END);
  request(fd, 1, "masquerade");
}

static void unmasquerade(int fd) {
  if (fd < 0) return;
  while (!found) {
    int complete = list_rules(fd, iptables ? "POSTROUTING" : "masq_checks");
    errno = ENOENT;
    if (complete && !found) fail("masquerade rule");
  }
  batch_mark(NFNL_MSG_BATCH_BEGIN);
  if (iptables) {
    delete_rule(0, "POSTROUTING", found_handle);
    own_chain(NFT_MSG_DELCHAIN, NLM_F_ACK); /* with the rules in it */
  } else {
    delete_rule(NLM_F_ACK, "masq_checks", found_handle);
  }
  batch_mark(NFNL_MSG_BATCH_END);
  request(fd, 1, "masquerade");
}

/* ---- Verbs */

static int open_netns(void) {
  struct statfs about;
  int fd = open(need("CNI_NETNS"), O_RDONLY | O_CLOEXEC);
  if (fd < 0 || fstatfs(fd, &about) || about.f_type != NSFS_MAGIC_NUMBER) fail("CNI_NETNS");
  return fd;
}

/* Enters the container's namespace for good: sockets opened before stay the host's. */
static int enter(int netns) {
  if (setns(netns, CLONE_NEWNET)) fail("setns");
  return netlink(NETLINK_ROUTE);
}

static void read_forwarding(void) {
  char value;
  int fd = open("/proc/sys/net/ipv4/ip_forward", O_RDONLY | O_CLOEXEC);
  if (fd < 0 || read(fd, &value, 1) != 1) fail("ip_forward");
  close(fd);
}

static void print_mac(const char *name, struct link link) {
  const unsigned char *m = link.mac;
  printf("{\"name\":\"%s\",\"mac\":\"%02x:%02x:%02x:%02x:%02x:%02x\"}", name, m[0], m[1], m[2], m[3], m[4], m[5]);
}

static void container_sysctls(const char *ifname) {
  sysctl("0", "/proc/sys/net/ipv6/conf/%s/accept_dad", ifname);
  sysctl("1", "/proc/sys/net/ipv4/conf/%s/arp_notify", ifname);
}

static void add(void) {
  const char *bridge_name = need("FLOOR_BRIDGE"), *ifname = need("CNI_IFNAME");
  char host_end[IFNAMSIZ], text[INET_ADDRSTRLEN];
  unsigned random;
  struct in_addr gateway;
  inet_aton(need("FLOOR_GATEWAY"), &gateway);
  int netns = open_netns(), host = netlink(NETLINK_ROUTE), firewall = open_firewall();

  struct link bridge = get_link(host, bridge_name);
  sysctl("0", "/proc/sys/net/ipv6/conf/%s/accept_ra", bridge_name);
  if (getrandom(&random, sizeof random, 0) < 0) fail("getrandom");
  snprintf(host_end, sizeof host_end, "veth%08x", random);
  make_pair(host, bridge.index, host_end, ifname, netns);
  sysctl("0", "/proc/sys/net/ipv6/conf/%s/accept_ra", host_end);
  read_forwarding();
  check_gateway(host, bridge.index, gateway);
  struct in_addr address = reserve(text);

  int container = enter(netns);
  struct link inside = get_link(container, ifname);
  container_sysctls(ifname);
  configure(container, inside.index, address, gateway);
  masquerade(firewall, address, gateway);

  struct link outside = get_link(host, host_end);
  for (int i = 0; i < 1000 && !outside.operational; i++) {
    nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    outside = get_link(host, host_end);
  }
  bridge = get_link(host, bridge_name);
  printf("{\"cniVersion\":\"1.0.0\",\"interfaces\":[");
  print_mac(bridge_name, bridge), printf(","), print_mac(host_end, outside), printf(","), print_mac(ifname, inside);
  printf("],\"ips\":[{\"interface\":2,\"address\":\"%s/%d\"}]}\n", text, PREFIX_LENGTH);
}

static void del(void) {
  int netns = open_netns();
  unmasquerade(open_firewall());
  int container = enter(netns);
  begin(RTM_DELLINK, NLM_F_ACK, &(struct ifinfomsg){0}, sizeof(struct ifinfomsg));
  put_text(IFLA_IFNAME, need("CNI_IFNAME"));
  request(container, 1, "delete the link");
  release();
}

/* macvlan and host-device: an interface of the host's, or one made of it. */
static void add_interface(int is_moved) {
  const char *ifname = need("CNI_IFNAME");
  char text[INET_ADDRSTRLEN];
  int netns = open_netns(), host = netlink(NETLINK_ROUTE);
  struct link parent = get_link(host, need("FLOOR_PARENT"));
  if (is_moved) move_link(host, parent.index, ifname, netns);
  else make_macvlan(host, parent.index, ifname, netns);
  struct in_addr address = reserve(text);
  int container = enter(netns);
  struct link inside = get_link(container, ifname);
  container_sysctls(ifname);
  configure(container, inside.index, address, (struct in_addr){0});
  printf("{\"cniVersion\":\"1.0.0\",\"interfaces\":[");
  print_mac(ifname, inside);
  printf("],\"ips\":[{\"interface\":0,\"address\":\"%s/%d\"}]}\n", text, PREFIX_LENGTH);
}

static void del_interface(int is_moved) {
  int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), container = enter(open_netns());
  if (is_moved) {
    move_link(container, get_link(container, need("CNI_IFNAME")).index, need("FLOOR_PARENT"), own);
  } else {
    begin(RTM_DELLINK, NLM_F_ACK, &(struct ifinfomsg){0}, sizeof(struct ifinfomsg));
    put_text(IFLA_IFNAME, need("CNI_IFNAME"));
    request(container, 1, "delete the link");
  }
  release();
}

static void add_reservation(void) {
  char text[INET_ADDRSTRLEN];
  reserve(text);
  printf("{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"%s/%d\"}]}\n", text, PREFIX_LENGTH);
}

int main(int argc, char **argv) {
  const char *verb = need("CNI_COMMAND"), *name = argc ? strrchr(argv[0], '/') : NULL;
  int reservation_only = name && !strcmp(name, "/host-local"), is_moved = name && !strcmp(name, "/host-device");
  int interface_only = is_moved || (name && !strcmp(name, "/macvlan"));
  for (ssize_t n, at = 0; (n = read(0, input + at, sizeof input - 1 - at)) > 0;) at += n;
  if (!strcmp(verb, "ADD")) reservation_only ? add_reservation() : interface_only ? add_interface(is_moved) : add();
  else if (!strcmp(verb, "DEL")) reservation_only ? release() : interface_only ? del_interface(is_moved) : del();
  else puts("{\"cniVersion\":\"1.0.0\",\"supportedVersions\":[\"1.0.0\"]}");
  fflush(stdout);
  _exit(0);
}

/** linux/virtio_net.h: `struct virtio_net_hdr`, which the TUN device has before each packet; little-endian as the processor. */
export const VNET = {
  size: 10,
  flags: 0,
  gsoType: 1,
  headerLength: 2,
  gsoSize: 4,
  checksumStart: 6,
  checksumOffset: 8,
} as const;
/** VIRTIO_NET_HDR_F_NEEDS_CSUM: in the place of the checksum stands the sum of the pseudo-header. */
export const NEEDS_CSUM = 1;
/** VIRTIO_NET_HDR_GSO_*: what a super-packet is cut into. */
export const GSO_NONE = 0;
export const GSO_TCPV4 = 1;
export const GSO_UDP_L4 = 5;

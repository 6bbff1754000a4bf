// Address families, as the first byte of every rtnetlink header names them. Source: linux/socket.h.

export const AF_UNSPEC = 0;
export const AF_INET = 2;
export const AF_BRIDGE = 7;
export const AF_INET6 = 10;

export const families = { AF_UNSPEC, AF_INET, AF_BRIDGE, AF_INET6 };

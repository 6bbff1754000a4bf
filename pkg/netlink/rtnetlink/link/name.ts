/** The size of a link's name with its NUL. Apart from the tables, which programs that need nothing else would have with it. */
export const IFNAMSIZ = 16;

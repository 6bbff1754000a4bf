/** Compiled by dev/compile-schemas.mjs from cmd/<name>/netconf.ts. */
declare module "#validate/*" {
  export const validate: import("./plugin.ts").Validate;
}

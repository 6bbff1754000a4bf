/** The build takes files of systemd as texts. */
declare module "*.service" {
  const text: string;
  export default text;
}
declare module "*.socket" {
  const text: string;
  export default text;
}
declare module "*.timer" {
  const text: string;
  export default text;
}
declare module "*.conf" {
  const text: string;
  export default text;
}

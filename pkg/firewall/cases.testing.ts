/** What tests of rules have in common: each request refused once, others' changes at each moment. */
import type { Connection } from "../netlink/connection.ts";
import { difference } from "../netlink/fake/difference.testing.ts";
import { FakeNetfilter } from "../netlink/fake/netfilter.testing.ts";
import type { ErrnoName } from "../sys/errno.ts";

/** Work with the ruleset, such as an ADD. */
export type Work = (netfilter: Connection) => unknown;

/** Returns a kernel whose ruleset these have made, one after the other. */
export function kernelWith(...works: readonly Work[]): FakeNetfilter {
  const kernel = new FakeNetfilter();
  for (const work of works) work(kernel.connect());
  return kernel;
}

/** Returns the difference that work makes to a kernel. */
export function differenceBy(kernel: FakeNetfilter, work: Work): string[] {
  const before = kernel.text();
  work(kernel.connect());
  return difference(before, kernel.text());
}

/** Returns the text of what is thrown; undefined when nothing is. */
export function thrownBy(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/**
 * Has each request of the work refused in turn, on a kernel like this one each time.
 *
 * @param make Returns a kernel before the work.
 * @returns What happened otherwise than it must: the work has to throw and to change nothing, and has to succeed when it is repeated.
 */
export function refusedOnce(make: () => FakeNetfilter, work: Work, errno: ErrnoName = "EPERM"): string[] {
  const whole = make();
  whole.sent.length = 0;
  work(whole.connect());
  const names = whole.sent.map(({ name }) => name);
  return names.flatMap((name, i) => {
    const kernel = make();
    const before = kernel.text();
    let count = 0;
    kernel.refuse = () => (count++ === i ? errno : undefined);
    const message = thrownBy(() => work(kernel.connect()));
    kernel.refuse = undefined;
    const changes = difference(before, kernel.text());
    work(kernel.connect());
    const missing = difference(whole.text(), kernel.text());
    return [
      ...(message === undefined ? [`${name}: the refusal of request ${i + 1} is not reported`] : []),
      ...changes.map((line) => `${name}: after the refusal of request ${i + 1}: ${line}`),
      ...missing.map((line) => `${name}: after it was repeated: ${line}`),
    ];
  });
}

/**
 * Has each request of a removal from several backends refused in turn.
 *
 * @param parts What each backend has, as in the ruleset's text.
 * @returns The refusals that are not reported, or after which more is left than the part of one backend.
 */
export function leftByRefusal(make: () => FakeNetfilter, work: Work, parts: readonly RegExp[]): string[] {
  const whole = make();
  const unseen = parts.filter((part) => !part.test(whole.text())).map((part) => `${part} is not there`);
  whole.sent.length = 0;
  work(whole.connect());
  const kept = parts.filter((part) => part.test(whole.text())).map((part) => `${part} is left without a refusal`);
  const refused = whole.sent.flatMap(({ name }, i) => {
    const kernel = make();
    let count = 0;
    kernel.refuse = () => (count++ === i ? "EPERM" : undefined);
    const message = thrownBy(() => work(kernel.connect()));
    const left = parts.filter((part) => part.test(kernel.text()));
    return [
      ...(message === undefined ? [`${name}: the refusal of request ${i + 1} is not reported`] : []),
      ...(left.length > 1 ? [`${name}: after the refusal of request ${i + 1}: ${left.join(", ")}`] : []),
    ];
  });
  return [...unseen, ...kept, ...refused];
}

/**
 * Has somebody else change the ruleset just before each datagram of the work in turn.
 *
 * @param change What somebody else does; it has to be possible at each of these moments.
 * @returns The rulesets that are not the expected one, as differences, with the moment.
 */
export function disturbedOnce(make: () => FakeNetfilter, work: Work, change: Work, expected: string): string[] {
  const whole = make();
  let datagrams = 0;
  whole.before = () => datagrams++;
  work(whole.connect());
  return Array.from({ length: datagrams }, (_, moment) => {
    const kernel = make();
    let count = 0;
    kernel.before = () => {
      if (count++ !== moment) return;
      kernel.before = undefined;
      change(kernel.connect());
    };
    const message = thrownBy(() => work(kernel.connect()));
    const found = [...(message === undefined ? [] : [message]), ...difference(expected, kernel.text())];
    return found.map((line) => `before datagram ${moment + 1} of ${datagrams}: ${line}`);
  }).flat();
}

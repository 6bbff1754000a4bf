/** What a run for a transcript did. */
export interface ReplayedRun {
  name: string;
  plugin: string;
  verb: string;
  calls: number;
  steps: number;
  stale?: string;
  blocks: Map<number, { size: number; isWritten: boolean }>;
}
export interface ReplayReport {
  allocations: number;
  runs: ReplayedRun[];
}
/** The numbers of the blocks that belong to each part, in the order in which they lie there. */
export type Parts = Record<"read" | "written" | "writtenByAdd" | "writtenOften" | "writtenAlways", number[]>;
export function readReport(text: string): ReplayReport;
export function arrange(report: ReplayReport): Parts;
export function orderFile(report: ReplayReport, parts: Parts): Buffer;
export function copiedPages(report: ReplayReport, parts: Parts): (run: ReplayedRun) => number;
export function writtenBytes(run: ReplayedRun): number;

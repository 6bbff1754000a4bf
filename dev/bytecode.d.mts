export function withoutDetails(bytecode: Buffer): Buffer;

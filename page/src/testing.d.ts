/** What the tests use of node: its types are a package of megabytes. */
declare module "node:test" {
  export function test(name: string, run: () => void | Promise<void>): void;
}
declare module "node:assert/strict" {
  const assert: {
    (value: unknown, message?: string): asserts value;
    equal(left: unknown, right: unknown, message?: string): void;
    deepEqual(left: unknown, right: unknown, message?: string): void;
    match(text: string, pattern: RegExp): void;
    ok(value: unknown, message?: string): asserts value;
  };
  export default assert;
}

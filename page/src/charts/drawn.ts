/** For the tests: what a pure component draws, as plain objects; no browser is needed. */
import type { ComponentChildren, VNode } from "preact";

export interface Drawn {
  readonly tag: string;
  readonly props: Readonly<Record<string, any>>;
  readonly children: readonly Drawn[];
  readonly text: string;
}

export function drawn(node: ComponentChildren): Drawn {
  return { tag: "", props: {}, ...inside(node) };
}

function inside(node: ComponentChildren): { children: Drawn[]; text: string } {
  if (Array.isArray(node)) {
    const parts = node.map(inside);
    return { children: parts.flatMap((part) => part.children), text: parts.map((part) => part.text).join("") };
  }
  if (node === null || node === undefined || typeof node === "boolean") return { children: [], text: "" };
  if (typeof node !== "object") return { children: [], text: String(node) };
  const { type, props } = node as VNode<Record<string, any>>;
  if (typeof type === "function") return inside((type as (props: unknown) => ComponentChildren)(props));
  const content = inside(props["children"]);
  return { children: [{ tag: String(type), props, ...content }], text: content.text };
}

/** Find by a path of `tag` or `tag.class`, each anywhere below the former. */
export function found(tree: Drawn, path: string): Drawn[] {
  return path.split(" ").reduce<Drawn[]>((trees, part) => {
    const [tag, name] = part.split(".");
    const fits = (one: Drawn): boolean => one.tag === tag && (!name || String(one.props["class"] ?? "").split(" ").includes(name));
    const below = (one: Drawn): Drawn[] => one.children.flatMap((child) => [...(fits(child) ? [child] : []), ...below(child)]);
    return trees.flatMap(below);
  }, [tree]);
}

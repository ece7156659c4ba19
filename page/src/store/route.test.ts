import { test } from "node:test";
import assert from "node:assert/strict";
import { link, routeOf } from "./route";

test("a route has parts, a query and a moment", () => {
  const route = routeOf("#/models/a%2Fb/rollout?as_of=812&tab=x");
  assert.deepEqual(route.parts, ["models", "a/b", "rollout"]);
  assert.equal(route.asOf, 812);
  assert.equal(route.query.get("tab"), "x");
});

test("what is no offset is now, and what cannot be decoded is taken as it is", () => {
  for (const hash of ["", "#", "#/x?as_of=", "#/x?as_of=-1", "#/x?as_of=1e9", "#/x?as_of=99999999999999999"]) {
    assert.equal(routeOf(hash).asOf, null, hash);
  }
  assert.deepEqual(routeOf("#/models/%zz").parts, ["models", "%zz"]);
});

test("a link leads back to its route", () => {
  const route = routeOf(link(["models", "a b/c"], 7, { tab: "&=" }));
  assert.deepEqual(route.parts, ["models", "a b/c"]);
  assert.equal(route.asOf, 7);
  assert.equal(route.query.get("tab"), "&=");
});

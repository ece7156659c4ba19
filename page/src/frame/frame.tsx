/** What is around every page. */
import { pageOf } from "../pages/pages";
import { route } from "../store/route";

export function Frame() {
  const page = pageOf(route.value);
  return (
    <>
      <header>
        <h1>hotswap-stream</h1>
      </header>
      <main>{page ? <page.component route={route.value} /> : <p>There is no such page.</p>}</main>
    </>
  );
}

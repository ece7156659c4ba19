/** What is around every page. */
import { pageOf } from "../pages/pages";
import { Login } from "../pages/login";
import { route } from "../store/route";
import { session } from "../store/session";

export function Frame() {
  const page = pageOf(route.value);
  const state = session.value?.state;
  return (
    <>
      <header>
        <h1>hotswap-stream</h1>
      </header>
      <main>
        {state === "signed-out" ? (
          <Login />
        ) : (
          state && (page ? <page.component route={route.value} /> : <p>There is no such page.</p>)
        )}
      </main>
    </>
  );
}

/** All models on one page: what hurts first. */
import { connection, head, summaries } from "../../store/now";

export function Overview() {
  return (
    <section>
      <p>
        {connection.value.state} · offset {head.value ?? "–"} · {summaries.value.size} models
      </p>
      <ul>
        {[...summaries.value.values()].map((one) => (
          <li key={one.model_name}>
            {one.model_name} {one.active_version ?? "nothing in production"}
          </li>
        ))}
      </ul>
    </section>
  );
}

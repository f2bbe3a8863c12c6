// Entries of the audit log, as a table that becomes a list where it is narrow.
import { Said } from "./parts";
import { audit as w } from "./words_audit";

export interface Event {
  seq: number;
  at: string;
  actor: string;
  kind: string;
  detail: Record<string, unknown> | null;
}

/** A notice is a sentence; of anything else its fields. */
function textOf(detail: Event["detail"]): string {
  if (!detail) return "";
  if (typeof detail.message === "string" && detail.message) return detail.message;
  return Object.entries(detail)
    .map(([key, value]) => `${key.replaceAll("_", " ")} ${versionsOf(value) ?? (typeof value === "string" ? value : JSON.stringify(value))}`)
    .join(", ");
}
/** Of release notes their versions are what one wants to see, not the digests. */
function versionsOf(value: unknown): string | null {
  if (!Array.isArray(value)) return null;
  const names = value.map((each) => (each as { version?: unknown } | null)?.version);
  return names.every((name) => typeof name === "string") ? names.join(" ") : null;
}

export function EventTable({ events, label }: { events: Event[]; label: string }) {
  return (
    <table class="plain nodes events" aria-label={label}>
      <thead>
        <tr>
          <th scope="col">{w.at}</th>
          <th scope="col">{w.actor}</th>
          <th scope="col">{w.what}</th>
          <th scope="col">{w.detail}</th>
        </tr>
      </thead>
      <tbody>
        {events.map((event) => (
          <tr key={event.seq}>
            <td data-label={w.at} class="moment">
              <time dateTime={event.at}>{event.at.slice(0, 19).replace("T", " ")}</time>
            </td>
            <td data-label={w.actor}>
              <span>{event.actor}</span>
            </td>
            <td data-label={w.what}>
              <span title={event.kind}>{w.kinds[event.kind] ?? event.kind}</span>
            </td>
            <td data-label={w.detail}>
              <span>
                <Said text={textOf(event.detail)} />
              </span>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

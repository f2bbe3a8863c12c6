// The audit log: who did what to the cluster and to users.
import { useEffect, useState } from "preact/hooks";
import { download, olderNode, useAsked } from "./asked";
import { EventTable } from "./event_table";
import type { Event } from "./event_table";
import { Said, Trouble, Waiting } from "./parts";
import { audit as w } from "./words_audit";
import { nav } from "./words_nav";

interface Events {
  results: Event[];
  /** Number below which the next page begins; 0 on the last. */
  next: number;
}
/** An older node knows neither filter nor pages, and gives the newest entries whatever is asked. */
export function shapeEvents(raw: Events): Events {
  if (raw.next === undefined) throw olderNode();
  return raw;
}

const names = ["text", "kind", "since", "until"] as const;
type Filter = Record<(typeof names)[number], string>;
const none: Filter = { text: "", kind: "", since: "", until: "" };
const pageSize = 50;

function queryOf(filter: Filter): string {
  return names
    .filter((name) => filter[name])
    .map((name) => `&${name}=${encodeURIComponent(filter[name])}`)
    .join("");
}
/** The address keeps what was chosen, so that it can be sent to somebody. */
function filterIn(search: string): Filter {
  const given = new URLSearchParams(search);
  return Object.fromEntries(names.map((name) => [name, given.get(name) ?? ""])) as Filter;
}

export function AuditPage() {
  const [filter, setFilter] = useState<Filter>(() => filterIn(location.search));
  const [draft, setDraft] = useState<Filter>(filter);
  const [before, setBefore] = useState(0);
  const [fault, setFault] = useState("");
  const query = queryOf(filter);
  const events = useAsked<Events>(`/rest/afloat/1/events?limit=${pageSize}&before=${before}${query}`, shapeEvents);
  useEffect(() => {
    history.replaceState(null, "", location.pathname + query.replace("&", "?"));
  }, [query]);
  const show = (wanted: Filter) => {
    setFilter(wanted);
    setDraft(wanted);
    setBefore(0);
  };
  const save = async (format: "csv" | "json") => {
    setFault("");
    try {
      await download(`/rest/afloat/1/events/export?format=${format}${query}`, `afloat-audit-log.${format}`);
    } catch (error) {
      setFault(error instanceof Error ? error.message : String(error));
    }
  };
  const field = (name: (typeof names)[number]) => ({ id: `audit-${name}`, value: draft[name], onInput: (event: { currentTarget: { value: string } }) => setDraft({ ...draft, [name]: event.currentTarget.value }) });
  const rows = events.value?.results ?? [];
  const next = events.value?.next ?? 0;
  return (
    <>
      <h1>{nav.audit}</h1>
      <p class="lead">{w.lead}</p>
      <form
        class="panel-box tools"
        role="search"
        aria-label={nav.audit}
        onSubmit={(event) => {
          event.preventDefault();
          show(draft);
          events.refresh();
        }}
      >
        <div class="field">
          <label for="audit-text">{w.text}</label>
          <input {...field("text")} maxLength={200} title={w.textHint} />
        </div>
        <div class="field">
          <label for="audit-kind">{w.kind}</label>
          <select {...field("kind")}>
            <option value="">{w.anyKind}</option>
            {Object.entries(w.kinds).map(([kind, title]) => (
              <option value={kind} key={kind}>
                {title}
              </option>
            ))}
          </select>
        </div>
        <div class="field field-day">
          <label for="audit-since">{w.since}</label>
          <input {...field("since")} type="date" title={w.days} />
        </div>
        <div class="field field-day">
          <label for="audit-until">{w.until}</label>
          <input {...field("until")} type="date" title={w.days} />
        </div>
        <div class="actions">
          <button type="submit">{w.apply}</button>
          {query !== "" && (
            <button type="button" class="button quiet" onClick={() => show(none)}>
              {w.clear}
            </button>
          )}
        </div>
      </form>
      <Trouble error={events.error} />
      <section class="panel-box" aria-label={nav.audit} aria-busy={events.busy}>
        {events.value ? (
          <>
            <p class="meta" role="status">
              {w.shown(rows.length, next > 0)}
            </p>
            {rows.length === 0 ? <p class="empty">{w.none}</p> : <EventTable events={rows} label={nav.audit} />}
            <div class="actions pager">
              <button type="button" class="button quiet" disabled={events.busy} onClick={() => (before > 0 ? setBefore(0) : events.refresh())}>
                {before > 0 ? w.newer : w.refresh}
              </button>
              <button
                type="button"
                class="button quiet"
                disabled={next === 0 || events.busy}
                onClick={() => {
                  setBefore(next);
                  window.scrollTo(0, 0);
                }}
              >
                {w.older}
              </button>
            </div>
          </>
        ) : (
          !events.error && <Waiting lines={20} />
        )}
      </section>
      <section class="panel-box" aria-label={w.exportHint}>
        <p class="meta">{w.exportHint}</p>
        <div class="actions">
          <button type="button" class="button quiet" onClick={() => void save("csv")}>
            {w.csv}
          </button>
          <button type="button" class="button quiet" onClick={() => void save("json")}>
            {w.json}
          </button>
        </div>
        {fault && (
          <p class="notice notice-bad" role="alert">
            <Said text={fault} />
          </p>
        )}
      </section>
      <p class="meta">
        <Said text={w.onCommandLine} />
      </p>
    </>
  );
}

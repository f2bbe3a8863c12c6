// Troubleshooting and support tools: every check of the site, and the support zip.
import { useState } from "preact/hooks";
import type { Check, Offered } from "./api";
import { download } from "./asked";
import { CheckLine, order } from "./check_line";
import { usePolled } from "./live";
import { Part, Said, clock } from "./parts";
import { nav } from "./words_nav";
import { support as w } from "./words_support";

interface Checked {
  node: string;
  at: string;
  to?: string;
  checks: (Check & { group: "health" | "upgrade" })[];
}
type Shown = Check["result"] | "all";

function Results({ answer }: { answer: Checked }) {
  const [shown, setShown] = useState<Shown>("all");
  const of = (result: Check["result"]) => answer.checks.filter((check) => check.result === result);
  const picked = order.flatMap((result) => (shown === "all" || shown === result ? of(result) : []));
  const groups = [
    { title: w.groups.health, checks: picked.filter((check) => check.group !== "upgrade") },
    { title: w.groups.upgrade(answer.to ?? ""), checks: picked.filter((check) => check.group === "upgrade") },
  ].filter((group) => group.checks.length > 0);
  return (
    <>
      <div class="filters" role="group" aria-label={w.show}>
        <button type="button" class="button quiet filter" aria-pressed={shown === "all"} onClick={() => setShown("all")}>
          {w.all(answer.checks.length)}
        </button>
        {order.map((result) => (
          <button key={result} type="button" class={`button quiet filter filter-${result}`} aria-pressed={shown === result} disabled={of(result).length === 0 && shown !== result} onClick={() => setShown(result)}>
            {w.filters[result](of(result).length)}
          </button>
        ))}
      </div>
      <div aria-live="polite">
        {groups.length === 0 && <p class="empty">{w.nothing}</p>}
        {groups.map((group) => (
          <div key={group.title}>
            <h3>{group.title}</h3>
            <ul class="checks">
              {group.checks.map((check) => (
                <CheckLine check={check} key={check.id} />
              ))}
            </ul>
          </div>
        ))}
      </div>
      <p class="meta">{w.checkedAt(clock(Date.parse(answer.at)), answer.node)}</p>
    </>
  );
}

function Zip({ to }: { to: string }) {
  const [state, setState] = useState<"" | "busy" | "done">("");
  const [fault, setFault] = useState("");
  const press = async () => {
    setState("busy");
    setFault("");
    try {
      await download(`/rest/afloat/1/support${to ? `?to=${encodeURIComponent(to)}` : ""}`, "afloat-support.zip");
      setState("done");
    } catch (error) {
      setFault(error instanceof Error ? error.message : String(error));
      setState("");
    }
  };
  return (
    <section class="panel-box" aria-labelledby="zip">
      <h2 id="zip">{w.zip}</h2>
      <p>{w.zipLead}</p>
      <ul class="plain-list">
        {w.zipHas.map((each) => (
          <li key={each}>{each}</li>
        ))}
      </ul>
      <p>{w.zipNot}</p>
      <div class="actions">
        <button type="button" disabled={state === "busy"} onClick={() => void press()}>
          {state === "busy" ? w.downloading : w.download}
        </button>
        <span class="meta" aria-live="polite">
          {state === "done" && w.downloaded}
        </span>
      </div>
      {fault && (
        <p class="notice notice-bad" role="alert">
          <Said text={fault} />
        </p>
      )}
    </section>
  );
}

export function SupportPage() {
  const [to, setTo] = useState("");
  const offered = usePolled<Offered>("/rest/troubleshooting/1.0/pre-upgrade/info", 60_000);
  const checks = usePolled<Checked>(`/rest/afloat/1/checks${to ? `?to=${encodeURIComponent(to)}` : ""}`, 15_000);
  return (
    <>
      <h1>{nav.support}</h1>
      <p class="lead">{w.lead}</p>
      <div class="panel-box tools">
        <div class="field">
          <label for="target">{w.target}</label>
          <select id="target" value={to} onChange={(event) => setTo(event.currentTarget.value)}>
            <option value="">{w.noTarget}</option>
            {(offered.value?.versions ?? []).map((version) => (
              <option key={version.shortName} value={version.shortName}>
                {version.shortName}
              </option>
            ))}
          </select>
        </div>
        <button type="button" class="button quiet" onClick={checks.refresh}>
          {w.again}
        </button>
      </div>
      <Part id="checks" title={w.checks} from={checks} lines={24}>
        {(answer) => <Results answer={answer} />}
      </Part>
      <Zip to={to} />
      <p class="meta">
        <Said text={w.onCommandLine} />
      </p>
    </>
  );
}

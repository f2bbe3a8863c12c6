// An upgrade by hand: what is to be done next, on which host, with the commands. It looks at the members, and so goes on
// by itself when a node is back.
import { useRef, useState } from "preact/hooks";
import type { ByHand, Cluster, Member } from "./api";
import { usePolled } from "./live";
import { Badge, Command, Said, duration } from "./parts";
import { words } from "./words";

const b = words.byHand;
const serves = (member: Member) => member.state === "ACTIVE" && member.leaseLive;

/** The least busy one first, as long as it takes: the figures change while one reads. */
function useNext(members: Member[], target: string): Member | null {
  const chosen = useRef("");
  const left = members.filter((member) => member.version !== target || !serves(member));
  const away = left.find((member) => !serves(member));
  const next =
    away ??
    left.find((member) => member.name === chosen.current) ??
    [...left].sort((a, c) => a.tasksRunning - c.tasksRunning || a.activeUsers - c.activeUsers || a.name.localeCompare(c.name, "en", { numeric: true }))[0];
  chosen.current = next?.name ?? "";
  return next ?? null;
}

/** For how long it has not served, as far as this page has seen. */
function useAway(member: Member | null): number {
  const since = useRef({ name: "", at: 0 });
  if (!member || serves(member)) since.current = { name: "", at: 0 };
  else if (since.current.name !== member.name) since.current = { name: member.name, at: Date.now() };
  return since.current.at ? Date.now() - since.current.at : 0;
}
const longAwayMs = 60_000;

export function ByHandPanel({ cluster }: { cluster: Cluster }) {
  const [chosen, setChosen] = useState("");
  const open = cluster.phase === "READY_TO_UPGRADE";
  const answer = usePolled<ByHand>(`/rest/afloat/1/by-hand${open && chosen ? `?to=${encodeURIComponent(chosen)}` : ""}`, 10_000);
  const [seen, setSeen] = useState<ByHand | null>(null);
  if (answer.value && answer.value !== seen) setSeen(answer.value);
  const members = [...cluster.members].sort((a, c) => a.name.localeCompare(c.name, "en", { numeric: true }));
  const to = seen?.to ?? "";
  const next = useNext(members, to);
  const away = useAway(next);
  const done = members.filter((member) => member.version === to && serves(member));
  if (!seen)
    return answer.error ? (
      <section class="panel-box" aria-labelledby="hand-heading">
        <h2 id="hand-heading">{b.heading}</h2>
        <p>
          <Said text={answer.error.message} /> {b.page}
        </p>
      </section>
    ) : null;
  const commandOf = (member: Member, way: "forward" | "back") => seen.nodes.find((node) => node.name === member.name)?.[way] ?? "";
  return (
    <section class="panel-box" aria-labelledby="hand-heading">
      <div class="box-head">
        <h2 id="hand-heading">{b.heading}</h2>
        {to && <span class="run-way">{words.run.way(seen.from, to)}</span>}
        <span class="meta">{b.progress(done.length, members.length)}</span>
      </div>
      {open && seen.targets.length > 1 && (
        <div class="field">
          <label for="hand-target">{b.target}</label>
          <select id="hand-target" value={to} onChange={(event) => setChosen(event.currentTarget.value)}>
            {seen.targets.map((version) => (
              <option key={version}>{version}</option>
            ))}
          </select>
        </div>
      )}
      {seen.obstacle && (
        <p class="notice">
          <Said text={seen.obstacle} />
        </p>
      )}
      {to && (
        <>
          <p class="hand-next" aria-live="polite">
            <strong>{words.whatNext}: </strong>
            {!next ? b.allDone : !serves(next) ? b.away(next.name, words.nodeStates[next.state] ?? next.state) : done.length === 0 ? b.first(next.name) : b.next(next.name)}
          </p>
          {away > longAwayMs && next && (
            <p class="notice">{b.longAway(next.name, next.host, duration(away))}</p>
          )}
          <ol class="hand">
            <li>
              <details open={done.length === 0}>
                <summary>{b.once}</summary>
                <p class="meta">{b.onceWhere(seen.balancer)}</p>
                <Command text={seen.sign_in} label={b.signIn} />
                <Command text={seen.script} label={b.functions} tall />
              </details>
            </li>
            {members.map((member) => {
              const finished = done.includes(member);
              return (
                <li key={member.id} class={member === next ? "hand-here" : finished ? "hand-done" : ""} aria-current={member === next ? "step" : undefined} data-node={member.name}>
                  <span class="hand-title">
                    {b.node(member.name, to)} <span class="meta">{b.host(member.host)}</span>{" "}
                    {finished ? <Badge tone="good">{b.done}</Badge> : !serves(member) ? <Badge tone="busy">{words.nodeStates[member.state] ?? member.state}</Badge> : member === next ? <Badge tone="waits">{b.now}</Badge> : null}
                  </span>
                  {member === next && serves(member) && (commandOf(member, "forward") ? <Command text={commandOf(member, "forward")} label={b.replace(member.name)} /> : <p class="meta">{b.notInConfig(member.name)}</p>)}
                </li>
              );
            })}
            <li class={next ? "" : "hand-here"} aria-current={next ? undefined : "step"}>
              <span class="hand-title">{b.finalize}</span>
              {!next && <p class="meta">{b.finalizeHow}</p>}
            </li>
          </ol>
          <details class="fold">
            <summary>
              <span class="fold-title">{b.back}</span>
            </summary>
            <p class="meta">{b.backHow}</p>
            {members.filter((member) => member.version === to && commandOf(member, "back")).map((member) => (
              <Command key={member.id} text={commandOf(member, "back")} label={b.replaceBack(member.name)} />
            ))}
          </details>
        </>
      )}
    </section>
  );
}

// The start of a run: what is wished of it, what is in the way, and what will happen.
import { useState } from "preact/hooks";
import { post } from "./api";
import type { Notes, Plan, Run } from "./api";
import { Ask } from "./dialog";
import { Said, duration } from "./parts";
import { WishesFields, faultsOf, optionsOf, usualWishes } from "./run_wishes";
import { words } from "./words";
import { offlineWords as o } from "./words_offline";

const w = words.plan;

interface Props {
  plan: Plan;
  notes: Notes | null;
  /** With downtime. */
  offline: boolean;
  /** The site's name, to be typed before it is closed. */
  site: string;
  hold: boolean;
  setHold: (hold: boolean) => void;
  started: () => void;
}

export function StartRun({ plan, notes, offline, site, hold, setHold, started }: Props) {
  const [reason, setReason] = useState("");
  const [wishes, setWishes] = useState(usualWishes);
  const faulty = Object.keys(faultsOf(wishes)).length > 0;
  const [asking, setAsking] = useState(false);
  const unread = notes !== null && !notes.acknowledged;
  const failing = plan.checks.filter((check) => check.result === "fail" && check.id !== "notes_acknowledged");
  const inTheWay = [
    ...(offline && !plan.offline ? [o.blockedOlder] : []),
    ...(unread ? [w.blockedNotes] : []),
    ...failing.map((check) => `${check.title}: ${check.found}`),
  ];
  return (
    <>
      <div class="field">
        <label for="reason">{w.reason}</label>
        <input id="reason" maxLength={500} value={reason} onInput={(event) => setReason(event.currentTarget.value)} aria-describedby="reason-hint" />
        <span class="meta" id="reason-hint">{w.reasonHint}</span>
      </div>
      {!offline && (
        <label class="tick">
          <input type="checkbox" checked={hold} onChange={(event) => setHold(event.currentTarget.checked)} />
          <span>
            {w.hold}
            <span class="meta">{w.holdHint}</span>
          </span>
        </label>
      )}
      <WishesFields wishes={wishes} change={setWishes} hops={plan.hops.length} offline={offline} />
      {inTheWay.length > 0 && (
        <div class="notice" id="in-the-way">
          <strong>{w.blocked}</strong>
          <ul>
            {inTheWay.map((each) => (
              <li key={each}>
                <Said text={each} />
              </li>
            ))}
          </ul>
        </div>
      )}
      <div class="actions">
        <button type="button" class={offline ? "big danger" : "big"} disabled={inTheWay.length > 0 || faulty} aria-describedby={inTheWay.length > 0 ? "in-the-way" : undefined} onClick={() => setAsking(true)}>
          {offline ? o.button(plan.to) : w.button(plan.to)}
        </button>
      </div>
      {asking && (
        <Ask
          question={{
            ...(offline
              ? { title: o.confirmTitle(plan.to), effect: o.effect(duration(plan.downtime_ms), wishes), confirm: o.confirm, typed: site, danger: true }
              : { title: w.confirmTitle(plan.to), effect: w.effect(hold, wishes), confirm: w.confirm }),
            act: async () => {
              // With downtime nothing is held: people wait.
              const options = { hold_before_finalize: hold && !offline, ...(offline && { offline: true }), ...optionsOf(wishes, offline) };
              await post<Run>("/rest/afloat/1/runs", { to: plan.to, reason: reason.trim(), options });
              started();
            },
          }}
          onClose={() => setAsking(false)}
        />
      )}
    </>
  );
}

// Dialogs: a question that says what will happen, and a form.
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { Said } from "./parts";
import { words } from "./words";

interface Frame {
  title: string;
  confirm: string;
  danger?: boolean;
  /** False: can't be confirmed yet. */
  ready?: boolean;
  /** Closes the dialog when it is done; what it throws is shown. */
  act: () => Promise<void>;
  onClose: () => void;
  describedBy?: string;
  children: ComponentChildren;
}

/** The focus stays inside, Escape leaves. What was refused is said until something else is typed. */
export function Dialog({ title, confirm, danger, ready = true, act, onClose, describedBy, children }: Frame) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [busy, setBusy] = useState(false);
  const [fault, setFault] = useState("");
  const id = useId();
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  const submit = async (event: Event) => {
    event.preventDefault();
    if (!ready || busy) return;
    setBusy(true);
    setFault("");
    try {
      await act();
      dialog.current?.close();
    } catch (error) {
      setFault(error instanceof Error ? error.message : String(error));
      setBusy(false);
    }
  };
  return (
    <dialog class="ask" ref={dialog} onClose={onClose} aria-labelledby={`${id}-title`} aria-describedby={describedBy}>
      <form onSubmit={submit} onInput={() => setFault("")}>
        <h2 id={`${id}-title`}>{title}</h2>
        {children}
        {fault && (
          <p class="notice notice-bad" role="alert">
            <strong>{words.connection.refused}.</strong> <Said text={fault} />
          </p>
        )}
        <div class="actions">
          <button type="submit" class={danger ? "danger" : ""} disabled={!ready || busy}>
            {confirm}
          </button>
          <button type="button" class="button quiet" onClick={() => dialog.current?.close()}>
            {words.back}
          </button>
        </div>
      </form>
    </dialog>
  );
}

export interface Question {
  title: string;
  effect: string[];
  confirm: string;
  /** What has to be typed; for what can't be undone. */
  typed?: string;
  /** Asks for it; left out where it is the site's name. */
  typedLabel?: string;
  danger?: boolean;
  act: () => Promise<void>;
}

/** Says what will happen, and does it when asked to. */
export function Ask({ question, onClose }: { question: Question; onClose: () => void }) {
  const [typed, setTyped] = useState("");
  const id = useId();
  const { title, confirm, danger, act } = question;
  const ready = question.typed === undefined || typed.trim() === question.typed;
  return (
    <Dialog title={title} confirm={confirm} danger={danger} ready={ready} act={act} onClose={onClose} describedBy={`${id}-effect`}>
      <ul id={`${id}-effect`}>
        {question.effect.map((line) => (
          <li key={line}>{line}</li>
        ))}
      </ul>
      {question.typed !== undefined && (
        <div class="field">
          <label for={`${id}-typed`}>{question.typedLabel ?? words.actions.finalize.type(question.typed)}</label>
          <input id={`${id}-typed`} value={typed} onInput={(event) => setTyped(event.currentTarget.value)} autocomplete="off" spellcheck={false} />
        </div>
      )}
    </Dialog>
  );
}

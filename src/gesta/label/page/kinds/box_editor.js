// Boxes on a picture: the geometry, in pixels of the picture, and the list of boxes with its undo. No DOM here.

/** The least width and height of a box, in pixels of the picture. */
export const MIN_PX = 2;
export const HANDLES = ["nw", "n", "ne", "e", "se", "s", "sw", "w"];
const DIGITS = 1e6; // fractions are kept to a millionth: under a hundredth of a pixel on any picture
const NUM_UNDO = 200;
/** The most boxes of a picture; the service takes no more. */
export const MAX_BOXES = 50;
const SAME = 1e-5; // the service keeps five decimals
const SIDES = ["x1", "y1", "x2", "y2"];
const isSame = (one, other) => SIDES.every((side) => Math.abs(one[side] - other[side]) <= SAME);

export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** The box of fractions `{x1, y1, x2, y2}` in pixels of a picture of `size` `{width, height}`. */
export function fromFractions(box, size) {
  return { x1: box.x1 * size.width, y1: box.y1 * size.height, x2: box.x2 * size.width, y2: box.y2 * size.height };
}

/** The box of pixels as fractions with six decimals. */
export function toFractions(box, size) {
  const share = (value, whole) => Math.round((value / whole) * DIGITS) / DIGITS;
  return {
    x1: share(box.x1, size.width), y1: share(box.y1, size.height),
    x2: share(box.x2, size.width), y2: share(box.y2, size.height),
  };
}

/** The box shifted by dx, dy, as far as the picture goes; its size stays. */
export function move(box, dx, dy, size) {
  const width = box.x2 - box.x1;
  const height = box.y2 - box.y1;
  const x1 = clamp(box.x1 + dx, 0, Math.max(0, size.width - width));
  const y1 = clamp(box.y1 + dy, 0, Math.max(0, size.height - height));
  return { x1, y1, x2: Math.min(x1 + width, size.width), y2: Math.min(y1 + height, size.height) };
}

/** The box with the edges that `handle` names ("n", "se", …) shifted: not past the picture, nor past the other edge. */
export function resize(box, handle, dx, dy, size) {
  if (handle === "move") return move(box, dx, dy, size);
  let { x1, y1, x2, y2 } = box;
  if (handle.includes("w")) x1 = clamp(x1 + dx, 0, x2 - MIN_PX);
  if (handle.includes("e")) x2 = clamp(x2 + dx, x1 + MIN_PX, size.width);
  if (handle.includes("n")) y1 = clamp(y1 + dy, 0, y2 - MIN_PX);
  if (handle.includes("s")) y2 = clamp(y2 + dy, y1 + MIN_PX, size.height);
  return { x1, y1, x2, y2 };
}

/** The box between two opposite corners, in any order, kept inside the picture and at least MIN_PX wide and high. */
export function between(one, other, size) {
  const [x1, x2] = span(one.x, other.x, size.width);
  const [y1, y2] = span(one.y, other.y, size.height);
  return { x1, y1, x2, y2 };
}

function span(one, other, limit) {
  const low = clamp(Math.min(one, other), 0, limit);
  const high = clamp(Math.max(one, other), low, limit);
  if (high - low >= MIN_PX) return [low, high];
  const end = Math.min(low + MIN_PX, limit);
  return [end - MIN_PX, end];
}

/** Any four numbers as a box that may stand on the picture. */
export const inside = (box, size) => between({ x: box.x1, y: box.y1 }, { x: box.x2, y: box.y2 }, size);

const area = (box) => (box.x2 - box.x1) * (box.y2 - box.y1);
const holds = (box, x, y, slack) =>
  x >= box.x1 - slack && x <= box.x2 + slack && y >= box.y1 - slack && y <= box.y2 + slack;

/**
 * What a pointer at (x, y) would take hold of: `{id, handle}` or null. The selected box comes first, by its edges and
 * then whole; of the others the smallest that the pointer is in. `slack` is how far off an edge counts as on it.
 */
export function hit(boxes, x, y, { selected = null, slack = 0 } = {}) {
  const mine = boxes.find((box) => box.id === selected);
  if (mine && holds(mine, x, y, slack)) return { id: mine.id, handle: edgeAt(mine, x, y, slack) };
  const [first] = under(boxes, x, y);
  return first === undefined ? null : { id: first, handle: "move" };
}

function edgeAt(box, x, y, slack) {
  // Of a small box the middle half still moves it.
  const deep_x = Math.min(slack, (box.x2 - box.x1) / 4);
  const deep_y = Math.min(slack, (box.y2 - box.y1) / 4);
  const vertical = y < box.y1 + deep_y ? "n" : y > box.y2 - deep_y ? "s" : "";
  const horizontal = x < box.x1 + deep_x ? "w" : x > box.x2 - deep_x ? "e" : "";
  return vertical + horizontal || "move";
}

/** Ids of the boxes that hold the point, smallest first. */
export function under(boxes, x, y) {
  return boxes.filter((box) => holds(box, x, y, 0)).sort((a, b) => area(a) - area(b)).map((box) => box.id);
}

/**
 * The list of boxes of one picture: `{id, x1, y1, x2, y2, proposal, state}`, corners as fractions, state one of
 * proposed, accepted, adjusted, drawn. `kept` is what `snapshot()` gave earlier, or null: then all are as proposed.
 */
export function createEditor({ proposals, size, kept = null, onChange = () => {} }) {
  let boxes = kept?.boxes ?? fromProposals(proposals);
  let selected = kept?.selected ?? boxes.find((box) => box.state === "proposed")?.id ?? null;
  let nextId = 1 + Math.max(-1, ...boxes.map((box) => box.id));
  let past = [];
  let future = [];
  let lastTag = null;

  const find = (id) => boxes.find((box) => box.id === id) ?? null;
  const open = () => boxes.filter((box) => box.state === "proposed");

  // Changes with the same tag, one after another, are undone as one.
  function commit(changed, tag = null) {
    if (tag === null || tag !== lastTag) past = [...past, boxes].slice(-NUM_UNDO);
    lastTag = tag;
    future = [];
    boxes = changed;
    if (!find(selected)) selected = null;
    onChange();
  }

  function selectNextOpen(after) {
    const order = [...boxes.slice(after), ...boxes.slice(0, after)];
    selected = (order.find((box) => box.state === "proposed") ?? find(selected) ?? boxes[0])?.id ?? null;
  }

  function travel(from, to) {
    if (!from.length) return false;
    to.push(boxes);
    boxes = from.pop();
    lastTag = null;
    if (!find(selected)) selected = null;
    onChange();
    return true;
  }

  function change(id, corners, tag) {
    const state = (box) => (box.proposal === null ? "drawn" : "adjusted");
    commit(boxes.map((box) => (box.id === id ? { ...box, ...corners, state: state(box) } : box)), tag);
  }

  return {
    get boxes() { return boxes; },
    get selected() { return selected; },
    get canUndo() { return past.length > 0; },
    get canRedo() { return future.length > 0; },
    find,
    open,
    indexOf: (id) => boxes.findIndex((box) => box.id === id),
    px: () => boxes.map((box) => ({ id: box.id, ...fromFractions(box, size) })),
    select(id) {
      if (selected === id) return;
      selected = id;
      lastTag = null;
      onChange();
    },
    /** Take the box as it is; the next one that nobody has looked at becomes the selected one. */
    accept(id) {
      if (find(id)?.state !== "proposed") return false;
      const changed = boxes.map((box) => (box.id === id ? { ...box, state: "accepted" } : box));
      const place = boxes.findIndex((box) => box.id === id);
      commit(changed);
      selectNextOpen(place);
      onChange();
      return true;
    },
    acceptAll() {
      if (!open().length) return false;
      commit(boxes.map((box) => (box.state === "proposed" ? { ...box, state: "accepted" } : box)));
      return true;
    },
    remove(id) {
      const place = boxes.findIndex((box) => box.id === id);
      if (place === -1) return false;
      commit(boxes.filter((box) => box.id !== id));
      selected = (boxes[place] ?? boxes[place - 1])?.id ?? null;
      if (open().length) selectNextOpen(place);
      onChange();
      return true;
    },
    removeAll() {
      if (boxes.length) commit([]);
    },
    /** Shift edges of a box, or all of it ("move"), by pixels of the picture. */
    nudge(id, handle, dx, dy) {
      const box = find(id);
      if (!box) return;
      change(id, toFractions(resize(fromFractions(box, size), handle, dx, dy, size), size), `nudge ${id} ${handle}`);
    },
    /** Put a box where a drag has brought it; `tag` is the drag's own, so that the whole drag is one step. */
    put(id, corners_px, tag) {
      change(id, toFractions(corners_px, size), tag);
    },
    /** A new box at these pixels, selected; null where there are as many as there may be. */
    add(corners_px) {
      if (boxes.length >= MAX_BOXES) return null;
      const id = nextId++;
      commit([...boxes, { id, ...toFractions(corners_px, size), proposal: null, state: "drawn" }]);
      selected = id;
      onChange();
      return id;
    },
    /** Take back a drag that became something else, as if it had not begun. */
    cancel(tag) {
      if (lastTag !== tag || !past.length) return;
      boxes = past.pop();
      lastTag = null;
      onChange();
    },
    /** Two boxes with the same corners, or null: nobody is there twice. */
    twins() {
      for (const [place, box] of boxes.entries()) {
        const other = boxes.slice(place + 1).find((one) => isSame(box, one));
        if (other) return [box, other];
      }
      return null;
    },
    undo: () => travel(past, future),
    redo: () => travel(future, past),
    snapshot: () => ({ boxes, selected }),
    result: () => boxes.map(({ x1, y1, x2, y2, proposal }) => ({ x1, y1, x2, y2, proposal })),
  };
}

// Persons are numbered from left to right, so that the numbers are found again on the picture.
function fromProposals(proposals) {
  return proposals
    .map(({ x1, y1, x2, y2 }, proposal) => ({ id: proposal, x1, y1, x2, y2, proposal, state: "proposed" }))
    .sort((a, b) => a.x1 + a.x2 - b.x1 - b.x2);
}

/** What `snapshot()` would have been when the answer `boxes` was given. */
export function snapshotOfAnswer(boxes, proposals) {
  const restored = boxes.map((box, place) => {
    const { x1, y1, x2, y2, proposal } = box;
    const given = proposal === null ? null : proposals[proposal];
    const state = !given ? "drawn" : isSame(given, box) ? "accepted" : "adjusted";
    return { id: proposal ?? proposals.length + place, x1, y1, x2, y2, proposal, state };
  });
  return { boxes: restored, selected: null };
}

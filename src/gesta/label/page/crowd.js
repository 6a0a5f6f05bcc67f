// What the page of an outside crowd wants to be asked before another task is fetched: `beforeTask()` gives whether the
// work here is over, and has then shown what comes after. Nothing, for one's own people.

export const crowd = { beforeTask: null };

// What the page of an outside crowd does in place of the shell; nothing, for one's own people. `beforeTask()`, asked
// before another task is fetched, gives whether the work here is over, and has then shown what comes after;
// `onSignedOut()` shows what to do when the token is no longer good.

export const crowd = { beforeTask: null, onSignedOut: null };

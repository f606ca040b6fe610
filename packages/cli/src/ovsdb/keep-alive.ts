/** Keeps the process alive until `work` is done: the clock's timers alone do not. */
export const keepAlive = async <T>(work: Promise<T>): Promise<T> => {
  const timer = setInterval(() => {}, 2 ** 30);
  try {
    return await work;
  } finally {
    clearInterval(timer);
  }
};

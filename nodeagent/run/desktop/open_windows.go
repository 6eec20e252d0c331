package desktop

// nonBlocking has no meaning for files here.
const nonBlocking = 0

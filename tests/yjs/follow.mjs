// Follows one document with the stock Yjs client and says what it sees, one JSON object a line:
//   node follow.mjs 'ws://127.0.0.1:8765/yjs?token=...' DOCUMENT
// A line on standard input is a key that it then writes into its own copy, as no follower should.
import { createInterface } from 'node:readline'
import { decode } from '@msgpack/msgpack'
import { WebSocket } from 'ws'
import { WebsocketProvider } from 'y-websocket'
import * as Y from 'yjs'

const OTHER_GENERATION = 4410
const [url, name] = process.argv.slice(2)
const { origin, pathname, searchParams } = new URL(url)
let records // of the generation that is followed now

function follow () {
  const doc = new Y.Doc()
  const provider = new WebsocketProvider(origin + pathname, name, doc, {
    params: { token: searchParams.get('token') },
    WebSocketPolyfill: WebSocket,
    disableBc: true // other copies in this process or browser may be of an older generation
  })
  records = doc.getMap('records')
  records.observe(({ keysChanged, target, transaction }) => keysChanged.forEach((key) => {
    say(transaction.local ? { event: 'wrote', key } : seen(key, target.get(key)))
  }))
  provider.on('synced', (is) => is && say({ event: 'synced', keys: [...records.keys()].sort() }))
  provider.on('connection-close', (event) => {
    if (event === null) return // our own doing
    say({ event: 'closed', code: event.code, reason: event.reason.toString() })
    if (event.code === OTHER_GENERATION) {
      provider.destroy()
      doc.destroy()
      follow()
    }
  })
}

function seen (key, blob) {
  if (blob === undefined) return { event: 'gone', key }
  const [content, signature] = decode(blob)
  const [kind, item, facet, author, run, seq, time, over, body] = decode(content, { useBigInt64: true })
  const written = new Date(Number(BigInt(time) >> 16n)).toISOString() // the rest of a hybrid time is a counter
  const value = body === null ? null : decode(body)
  return { event: 'record', key, kind, item, facet, author, run, seq, written, over, value, signature: signature.length }
}

function say (what) {
  console.log(JSON.stringify(what, (_, value) => typeof value === 'bigint' ? value.toString() : value))
}

createInterface({ input: process.stdin })
  .on('line', (key) => records.set(key, new Uint8Array([1])))
  .on('close', () => process.exit())
follow()

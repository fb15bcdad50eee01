// How many of the six connections to this host are left: the tabs of this browser tell each other how many they hold.

const CONNECTIONS = 6;
// Polls and messages come and go on one.
const FOR_REQUESTS = 1;
const PATIENCE_MS = 400;

// Asks the other tabs; gives how many lanes may hold a connection here, and a way to say how many do.
export async function freeConnections() {
  const channel = new BroadcastChannel('transport-lab');
  let [mine, others] = [0, 0];
  channel.onmessage = ({ data }) => {
    if (data.ask) channel.postMessage({ holds: mine });
    else if (data.holds) others += data.holds;
  };
  channel.postMessage({ ask: true });
  await new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
  return { free: Math.max(0, CONNECTIONS - FOR_REQUESTS - others), hold: (count) => (mine = count) };
}

// The lecture's clients, one for each way to receive events. Each of them calls `show` with an event.

let cursor = 0;

async function receive(response) {
  if (response.status === 204) return;
  if (!response.ok) throw new Error(response.status);
  cursor = Number(response.headers.get('Cursor'));
  const lines = (await response.text()).trim().split('\n');
  for (const line of lines) show(JSON.parse(line));
}

async function poll() {
  const response = await fetch(`/poll?after=${cursor}`);
  await receive(response);
}

async function longPoll() {
  try {
    const response = await fetch(`/long-poll?after=${cursor}`);
    await receive(response);
    longPoll();
  } catch {
    setTimeout(longPoll, 1000);
  }
}

function subscribe() {
  const source = new EventSource('/sse');
  source.onmessage = ({ data }) => show(JSON.parse(data));
}

function connect() {
  const socket = new WebSocket(`ws://${location.host}/ws?after=${cursor}`);
  socket.onmessage = ({ data }) => {
    const event = JSON.parse(data);
    cursor = event.seq;
    show(event);
  };
  socket.onclose = () => setTimeout(connect, 1000);
}

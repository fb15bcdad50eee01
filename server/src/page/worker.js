// The shared worker: runs the subscriptions in a thread for all tabs of this browser. It ends when the last of them is closed.

import { Subscriptions } from './subscriptions.js';

const subscriptions = new Subscriptions();
self.onconnect = ({ ports: [port] }) => subscriptions.serve(port);

// The subscriptions in a thread of their own, for all tabs of this browser; it ends with the last of them.

import { Subscriptions } from './subscriptions.js';

const subscriptions = new Subscriptions();
self.onconnect = ({ ports: [port] }) => subscriptions.serve(port);

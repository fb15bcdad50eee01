//! Fabricated rounds and facts, for tests of what is derived from them.

use protocol::envelope::websocket::Opcode;
use protocol::facts::Facts;
use protocol::facts::browser::{BrowserFacts, PageReport, SocketEvent};
use protocol::facts::capacity::{CapacityFacts, Search, Step};
use protocol::facts::compared::ComparedFacts;
use protocol::facts::compression::CompressionFacts;
use protocol::facts::crossover::CrossoverFacts;
use protocol::facts::fallback::{Attempt, FallbackFacts, Proxy};
use protocol::facts::first_event::{FirstEventFacts, Opening};
use protocol::facts::frames::{
    Capture, FrameHeader, FrameTrial, FramesFacts, HttpHeaders, Received, SecondHandshake, SentFrames,
};
use protocol::facts::handshake::{
    HandshakeFacts, HandshakeRequest, HandshakeResponse, Reaction, RequestTrial, ResponseTrial,
};
use protocol::facts::header_compression::{HeaderCompressionFacts, PollSeries};
use protocol::facts::herd::{Accepted, HerdFacts, HerdGroup};
use protocol::facts::history::HistoryFacts;
use protocol::facts::idle::{IdleFacts, IdleGroup};
use protocol::facts::keep_alive::{KeepAliveFacts, RequestKind, RequestSeries};
use protocol::facts::ladder::{Chunk, LadderFacts, WireTrace};
use protocol::facts::layers::{FirstEvent, LayersFacts, LibraryTrial, SentMessage, Trial};
use protocol::facts::loss::LossFacts;
use protocol::facts::memory::MemoryFacts;
use protocol::facts::multiplexing::{MultiplexingFacts, OpenedSources, TabsReport};
use protocol::facts::papers::PapersFacts;
use protocol::facts::rooms::{Addressed, RoomsFacts, Sent};
use protocol::facts::shared_feed::{FeedTrial, Origins, Resumed, SharedFeedFacts};
use protocol::facts::spent::Spent;
use protocol::facts::sweep::{Factor, SweepFacts, SweepPoint};
use protocol::facts::tls::{Opened, TlsFacts};
use protocol::facts::token_stream::{self, Disconnect, TokenStreamFacts, Way};
use protocol::facts::upstream::{Duplex, Sender, UpstreamFacts};
use protocol::payload::PayloadKind;
use protocol::result::{ClientCost, Comparison, Environment, Faults, Headers, Round, Scenario, ServerCost};
use protocol::run::{Part, Run, SCHEMA_VERSION};
use protocol::{Envelope, Histogram, Layer, Ledger, Transport};

/// Five sound rounds of each transport; the number is the server's CPU time for each of 1,000 deliveries in a second, in us.
pub fn comparison(transports: &[(Transport, f64)]) -> Comparison {
    let all: Vec<Transport> = transports.iter().map(|of| of.0).collect();
    let scenario = Scenario { rounds: 5, ..Scenario::small(&all) };
    let rounds =
        (1..=5).flat_map(|number| transports.iter().map(move |&(transport, cpu_us)| round(transport, number, cpu_us)));
    Comparison { scenario, rounds: rounds.collect() }
}

/// A run of one comparison.
pub fn run_of(comparison: Comparison) -> Run {
    let environment = Environment {
        started_unix_s: 0,
        version: String::new(),
        commit: String::new(),
        kernel: String::new(),
        cpu: String::new(),
        cores: 2,
        memory_bytes: 0,
        cpu_pressure: None,
        steal: None,
    };
    let parts = vec![Part::Comparison(comparison)];
    Run { schema_version: SCHEMA_VERSION, command: "test".into(), environment, interrupted: false, parts }
}

pub fn round(transport: Transport, number: u32, cpu_us: f64) -> Round {
    // Rounds differ a little.
    let noise = 1.0 + f64::from(number % 3) / 100.0;
    let server = ServerCost {
        window_ns: 1_000_000_000,
        cpu_ns: (cpu_us * noise * 1e6) as u64,
        deliveries: 1_000,
        requests: 0,
        accepts: 0,
        context_switches: None,
        resident_before_bytes: 0,
        resident_connected_bytes: 0,
    };
    Round {
        transport,
        round: number,
        sent: 50,
        delivered: 1_000,
        expected: Some(1_000),
        schedule_hash: String::new(),
        latency_ns: Histogram::default(),
        slowest_ns: Histogram::default(),
        naive_latency_ns: Histogram::default(),
        publisher_lateness_ns: Histogram::default(),
        clock_bound_ns: None,
        ledger: Ledger::default(),
        window_ledger: None,
        faults: Faults::default(),
        server,
        client: ClientCost { cpu_ns: 0, processes: 1, lag_ns: Histogram::default(), connect_ns: 0 },
        packets: None,
        incidents: Vec::new(),
        failures: Vec::new(),
        warnings: Vec::new(),
    }
}

/// Rounds of some transports with latencies and wire bytes.
fn measured(scenario: Scenario) -> Comparison {
    let transports: Vec<(Transport, f64)> = scenario.transports.iter().map(|&transport| (transport, 10.0)).collect();
    let mut rounds = comparison(&transports).rounds;
    for round in &mut rounds {
        let latency_ns = if round.transport.is_push() { 1_000_000 } else { 50_000_000 };
        (0..100).for_each(|number| round.latency_ns.record(latency_ns + number * 1_000 * u64::from(round.round)));
        round.server.requests = 100;
        let ledger = Ledger { received_bytes: 300_000, events: 1_000, requests: 200, connections: 20, ..round.ledger };
        round.ledger =
            ledger.with(Layer::Event, 240_000).with(Layer::Framing, 4_000).with(Layer::RequestHeaders, 56_000);
    }
    Comparison { scenario, rounds }
}

fn sweep(factor: Factor, values: [f64; 2], scenario: impl Fn(f64) -> Scenario) -> SweepFacts {
    let point = |value| SweepPoint { value, comparison: measured(scenario(value)), exchange_ms: 20.0 };
    SweepFacts { factor, points: values.map(point).to_vec() }
}

/// Facts of every experiment.
pub fn facts() -> Vec<Facts> {
    let spent = |cpu_ms| Spent { seconds: 0.4, cpu_ms, requests: 400, accepts: 0 };
    let all = || Scenario::small(&Transport::ALL);
    let few = || Scenario::small(&Transport::one_per_exchange());
    let over_rate = |rate| Scenario { rate, ..few() };
    let of = Scenario::small;
    let pair = [Transport::LongPolling, Transport::WebSocket];
    let pull = [Transport::Polling, Transport::LongPolling];
    let groups = |subscribers: u32| pair.map(|transport| (transport, subscribers));
    let sizes = [500, 1_000, 2_000, 4_000].map(|subscribers| measured(Scenario { subscribers, ..few() }));
    let chunk = Chunk {
        up: true,
        left_ms: 1.0,
        arrived_ms: 21.0,
        bytes: 80,
        first_line: Some("GET /ws HTTP/1.1".into()),
        frames: Vec::new(),
        events: 0,
    };
    let frame = Received::Frame { opcode: Opcode::Text, header: vec![0x81, 0x05], payload: b"hello".to_vec() };
    let opened = |tls| Opened { tls, delay_ms: 20, ms: vec![80.0; 10], ledger: Ledger::default() };
    let one_round = |rate| {
        let mut comparison = measured(Scenario { rate, ..Scenario::small(&[Transport::WebSocket]) });
        comparison.rounds.truncate(1);
        comparison
    };
    vec![
        Facts::Ladder(LadderFacts {
            delay_ms: 20,
            poll_interval_ms: 100,
            length_ms: 400,
            traces: vec![WireTrace {
                transport: Transport::WebSocket,
                chunks: vec![chunk],
                published_ms: vec![150.0],
                delivered_ms: vec![170.0],
            }],
        }),
        Facts::Idle(IdleFacts {
            poll_interval_ms: 250,
            window_ms: 400,
            groups: [10, 1_000]
                .into_iter()
                .flat_map(|subscribers| Transport::ALL.map(|transport| (transport, subscribers)))
                .map(|(transport, subscribers)| IdleGroup { transport, subscribers, windows: vec![spent(4.0); 5] })
                .collect(),
        }),
        Facts::PollInterval(sweep(Factor::PollInterval, [25.0, 500.0], |ms| Scenario {
            poll_interval_ms: ms as u64,
            ..few()
        })),
        Facts::Delay(sweep(Factor::Delay, [4.0, 100.0], |_| few())),
        Facts::Rate(sweep(Factor::Rate, [2.0, 1_000.0], over_rate)),
        Facts::Payload(sweep(Factor::Payload, [20.0, 2_000.0], |_| few())),
        Facts::Subscribers(sweep(Factor::Subscribers, [1.0, 100.0], |_| few())),
        Facts::Capacity(CapacityFacts {
            objective_ms: 300.0,
            growth: 4.0,
            halvings: 4,
            searches: vec![Search {
                transport: Transport::WebSocket,
                steps: vec![
                    Step { is_repetition: false, comparisons: vec![one_round(20.0)] },
                    Step { is_repetition: true, comparisons: vec![one_round(20.0); 5] },
                ],
            }],
        }),
        Facts::Memory(MemoryFacts { comparisons: sizes.to_vec() }),
        Facts::Compared(Box::new(ComparedFacts {
            few: measured(all()),
            many: measured(of(&[Transport::LongPolling, Transport::Ndjson])),
        })),
        Facts::Herd(HerdFacts {
            groups: [10, 1_000]
                .into_iter()
                .flat_map(groups)
                .map(|(transport, subscribers)| HerdGroup {
                    transport,
                    subscribers,
                    spent: spent(2.0),
                    later_requests: 400,
                })
                .collect(),
            returning: 500,
            restart: vec![Accepted { ms: 0.0, connections: 0 }, Accepted { ms: 100.0, connections: 500 }],
            restart_with_jitter: vec![Accepted { ms: 0.0, connections: 0 }, Accepted { ms: 900.0, connections: 500 }],
            jitter_ms: 1_000,
        }),
        Facts::Upstream(UpstreamFacts {
            message_bytes: 36,
            senders: [Transport::Ndjson, Transport::WebSocket]
                .map(|transport| Sender {
                    transport,
                    delay_ms: 40,
                    round_trips_ms: vec![81.0; 20],
                    wire_bytes: 8_000,
                    requests: 20,
                })
                .to_vec(),
            duplex: Duplex {
                rate: 500.0,
                down: 200,
                up: 20,
                requests: 1,
                connections: 1,
                seconds: 0.4,
                round_trip_ms: 0.1,
                unasked_bytes: 0,
            },
        }),
        Facts::KeepAlive(KeepAliveFacts {
            requests: 20,
            series: RequestKind::ALL
                .map(|kind| RequestSeries {
                    kind,
                    delay_ms: 50,
                    mean_response_ms: 101.0,
                    accepts: if kind == RequestKind::Http11 { 1 } else { 20 },
                    ledger: Ledger::default(),
                })
                .to_vec(),
        }),
        Facts::Handshake(HandshakeFacts {
            over_http2: Some(200),
            requests: HandshakeRequest::ALL
                .map(|request| RequestTrial { request, response: Some("HTTP/1.1 400 Bad Request\r\n\r\n".into()) })
                .to_vec(),
            responses: HandshakeResponse::ALL
                .map(|response| ResponseTrial { response, reaction: Reaction::RefusedAccept })
                .to_vec(),
        }),
        Facts::Frames(FramesFacts {
            trials: SentFrames::ALL.map(|sent| FrameTrial { sent, received: vec![frame.clone()] }).to_vec(),
            headers: vec![FrameHeader { payload_bytes: 125, up_bytes: 6, down: vec![0x82, 0x7d] }],
            second_handshake: SecondHandshake::Received(Received::End),
            capture: Capture {
                rate: 200.0,
                seconds: 1,
                websocket: HttpHeaders::default(),
                long_polling: HttpHeaders { count: 200, bytes: 20_000 },
                events: 200,
                captured_bytes: 50_000,
            },
        }),
        Facts::Tls(Box::new(TlsFacts {
            plain: measured(few()),
            within_tls: measured(Scenario { tls: true, ..few() }),
            opened: vec![opened(false), opened(true)],
            connected_at_once: 300,
            plain_opening_cpu_us: 100.0,
            tls_opening_cpu_us: 400.0,
        })),
        Facts::Layers(Box::new(LayersFacts {
            rounds: measured(of(&[Transport::WebSocket, Transport::SocketIo])),
            memory: MemoryFacts { comparisons: sizes.to_vec() },
            first_events: [1, 60]
                .map(|delay_ms| FirstEvent {
                    transport: Transport::SocketIo,
                    headers: Headers::Lean,
                    delay_ms,
                    ms: vec![8.0 * delay_ms as f64; 5],
                    ledger: Ledger { requests: 20, ..Ledger::default() },
                })
                .to_vec(),
            message_bytes: 36,
            sent: vec![SentMessage { transport: Transport::SocketIo, up_bytes: 60, acknowledgement_bytes: Some(8) }],
            trials: Trial::ALL
                .map(|trial| LibraryTrial {
                    trial,
                    status: 200,
                    subprotocol: None,
                    extensions: None,
                    allowed_origin: None,
                    body: String::new(),
                })
                .to_vec(),
        })),
        Facts::Rooms(RoomsFacts {
            clients: 1_000,
            messages: 20,
            message_bytes: 36,
            addressed: [1, 1_000]
                .map(|addressees| {
                    let sent = |reached: u64| Sent {
                        received_bytes: 100 * reached,
                        received_messages: reached,
                        server_cpu_ms: 1.0,
                        ms: vec![1.0; 20],
                    };
                    Addressed { addressees, by_room: sent(u64::from(addressees)), by_filter: sent(1_000) }
                })
                .to_vec(),
        }),
        Facts::Browser(BrowserFacts {
            page: Some(PageReport {
                user_agent: "Chromium".into(),
                events: ["open", "message", "message", "close"]
                    .map(|name| SocketEvent { name: name.into(), code: None })
                    .to_vec(),
                refused_events: vec![SocketEvent { name: "close".into(), code: Some(1006) }],
                sent_bytes: 64 << 20,
                buffered_bytes: 60 << 20,
                sending_ms: 90.0,
                threw: false,
            }),
        }),
        Facts::Multiplexing(Box::new(MultiplexingFacts {
            shared: [1, 10]
                .map(|streams_per_connection| {
                    let envelopes = [Envelope::Sse, Envelope::WebSocket];
                    let transports = Transport::all_where(|transport| envelopes.contains(&transport.envelope()));
                    measured(Scenario { streams_per_connection, rounds: 5, ..of(&transports) })
                })
                .to_vec(),
            memory: vec![MemoryFacts { comparisons: sizes.to_vec() }],
            tabs: Some(TabsReport {
                user_agent: "Chromium".into(),
                sources: 7,
                http1: OpenedSources { open: 6, request_ms: None, protocol: "http/1.1".into() },
                http2: OpenedSources { open: 7, request_ms: Some(1.0), protocol: "h2".into() },
            }),
        })),
        Facts::HeaderCompression(HeaderCompressionFacts {
            series: [Transport::Polling, Transport::PollingH2]
                .map(|transport| PollSeries {
                    transport,
                    headers: Headers::Browser,
                    request_bytes: vec![300, 40, 40],
                    response_bytes: vec![100, 20, 20],
                    handshake_bytes: 60,
                })
                .to_vec(),
        }),
        Facts::Compression(CompressionFacts {
            rounds: vec![measured(Scenario {
                payload_kind: PayloadKind::Text,
                rounds: 5,
                ..of(&Transport::all_where(|transport| transport.envelope() == Envelope::WebSocket))
            })],
            memory: MemoryFacts { comparisons: sizes.to_vec() },
        }),
        Facts::FirstEvent(FirstEventFacts {
            openings: Transport::all_where(Transport::is_push)
                .into_iter()
                .flat_map(|transport| [1, 60].map(|delay_ms| (transport, delay_ms)))
                .map(|(transport, delay_ms)| {
                    let ledger =
                        Ledger { received_bytes: 300, events: 1, requests: 1, connections: 1, ..Ledger::default() };
                    let (headers, ms) = (Headers::Browser, vec![4.0 * delay_ms as f64]);
                    Opening { tls: true, first: FirstEvent { transport, headers, delay_ms, ms, ledger } }
                })
                .collect(),
        }),
        Facts::Loss(LossFacts {
            comparisons: vec![measured(Scenario {
                rounds: 5,
                ..of(&Transport::all_where(|transport| transport == Transport::SseH2 || !transport.is_over_tcp()))
            })],
        }),
        Facts::SharedFeed(SharedFeedFacts {
            events: 10,
            broker: Some("nats-server: v2.10.0".into()),
            trials: (0..10).map(|number| feed_trial(number % 2 == 1)).collect(),
        }),
        Facts::TokenStream(TokenStreamFacts {
            tokens: 2,
            rate: 50.0,
            delay_ms: 20,
            poll_interval_ms: 250,
            answers: [Way::Whole, Way::Events(Transport::Sse), Way::Events(Transport::WebSocket), Way::Mcp]
                .map(answer)
                .to_vec(),
            disconnects: vec![Disconnect {
                way: Way::Events(Transport::Sse),
                background: false,
                before: 40,
                generated: 42,
                received: 40,
                faults: 0,
            }],
            buffered: vec![answer(Way::Events(Transport::Sse)), answer(Way::Events(Transport::WebSocket))],
            proxy: Proxy::BuffersResponses,
        }),
        Facts::History(HistoryFacts { rounds: measured(all()) }),
        Facts::Fallback(FallbackFacts {
            timeout_ms: 2_000,
            silence_ms: 6_500,
            attempts: vec![Attempt {
                proxy: Proxy::DropsUpgrade,
                transport: Transport::WebSocket,
                first_event_ms: None,
                failed_ms: Some(2.0),
                error: Some("the peer responded with status 426".into()),
                published: 0,
                received: 0,
                reconnects: 4,
            }],
        }),
        Facts::Crossover(CrossoverFacts {
            staleness_ms: vec![100, 1_000],
            comparisons: vec![measured(over_rate(1.0)), measured(over_rate(64.0))],
        }),
        Facts::Papers(Box::new(PapersFacts {
            kaazing: measured(of(&[Transport::Polling, Transport::WebSocket])),
            appelqvist: measured(all()),
            pimentel: measured(of(&[Transport::Polling, Transport::WebSocket])),
            pimentel_pause_ms: 150.0,
            rfc_6202: measured(of(&pair)),
            rfc_6202_exchange_ms: 80.0,
            bozdag: measured(of(&pull)),
            bozdag_busy: measured(of(&pull)),
            van_de_vyvere_sse: measured(of(&[Transport::Sse])),
            van_de_vyvere_polling: vec![
                measured(of(&[Transport::Polling])),
                measured(Scenario { poll_interval_ms: 1_000, ..of(&[Transport::Polling]) }),
            ],
            signalr: vec![measured(of(&pair))],
        })),
        Facts::Sweep(sweep(Factor::Rate, [2.0, 1_000.0], over_rate)),
    ]
}

/// An answer of two tokens.
fn answer(way: Way) -> token_stream::Answer {
    let (received_ms, due_ms) = (vec![90.0, 110.0], vec![60.0, 80.0]);
    let ledger = Ledger { received_bytes: 400, sent_bytes: 300, events: 2, requests: 1, ..Ledger::default() };
    token_stream::Answer { way, received: 2, received_ms, due_ms, ledger }
}

/// A trial with ten events in each part.
fn feed_trial(shared: bool) -> FeedTrial {
    let (all, own) = (Origins { a: 20, b: 20 }, Origins { a: 20, b: 0 });
    let resumed = |with_epoch| Resumed {
        with_epoch,
        gap: with_epoch && !shared,
        missed: if shared { 20 } else { 10 },
        received: if shared { 20 } else { 0 },
        repeated: 0,
        other: if shared { 0 } else { 10 },
    };
    FeedTrial {
        shared,
        at_a_ms: vec![if shared { 0.6 } else { 0.2 }; 10],
        at_b_ms: vec![0.6; if shared { 10 } else { 0 }],
        published: all,
        received_a: if shared { all } else { own },
        received_b: if shared { all } else { Origins { a: 0, b: 20 } },
        differing: if shared { 0 } else { 20 },
        disorder: 0,
        timed_out: false,
        resumed: [false, true].map(resumed).to_vec(),
    }
}

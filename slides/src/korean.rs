//! The texts of runs in Korean.
//!
//! A translation puts no particle (은/는, 이/가, 을/를) directly after a name, because its form depends on the name.

use crate::dictionary::Dictionary;

/// English to Korean. Of two patterns that match a text, the first one translates it.
pub const KOREAN: Dictionary = Dictionary(&[
    // Transports, inside sentences and as labels.
    ("Polling", "폴링"),
    ("polling", "폴링"),
    ("Long polling", "롱 폴링"),
    ("long polling", "롱 폴링"),
    ("HTTP stream", "HTTP 스트리밍"),
    ("HTTP streaming", "HTTP 스트리밍"),
    ("WebSocket", "웹소켓"),
    ("Raw TCP", "TCP 소켓"),
    ("raw TCP", "TCP 소켓"),
    ("Multipart", "멀티파트"),
    ("Hidden iframe", "숨은 iframe"),
    (
        "{1} WebSockets took {2} connections over HTTP/1.1, and {3} over HTTP/2",
        "웹소켓 {1}개가 쓴 연결: HTTP/1.1 {2}개, HTTP/2 {3}개",
    ),
    // The comparison: its table, its load and its charts.
    ("B/event", "B/이벤트"),
    ("/event", "회/이벤트"),
    ("us/event", "us/이벤트"),
    (
        "{1}, {2} events/s ({3}), {4} B payload, polls each {5} ms, rounds: {6} of {7} s, {8} headers, {9}",
        "{1}, 초당 이벤트 {2}개({3}), 페이로드 {4} B, 폴링 주기 {5} ms, {7}초짜리 라운드 {6}회, {8} 헤더, {9}",
    ),
    ("periodic", "일정 간격"),
    ("poisson", "포아송"),
    ("browser", "브라우저와 같은"),
    ("lean", "최소한의"),
    ("loopback", "루프백"),
    (
        "Half of all events arrive within {1} ms over {2}, within {3} ms over {4}",
        "이벤트의 절반이 도착하는 데 걸리는 시간: {2} {1} ms, {4} {3} ms",
    ),
    ("Distribution of latency", "지연 시간 분포"),
    ("Share of deliveries that have arrived, by delivery latency; {1}", "전달 지연에 따른 누적 도착 비율 ({1})"),
    ("delivery latency", "전달 지연"),
    (
        "In addition to the event itself: {1} bytes over {2}, {3} bytes over {4}",
        "이벤트당 오버헤드: {2} {1}바이트, {4} {3}바이트",
    ),
    ("Bytes on the wire per event", "이벤트당 전송 바이트"),
    (
        "Bytes on the wire per delivered event, both ways, once connections are open; {1}",
        "연결을 연 뒤 이벤트 하나를 전달하는 데 오간 양방향 바이트 ({1})",
    ),
    (
        "bytes per delivered event, without those of opening a connection",
        "전달된 이벤트당 바이트 (연결을 여는 데 든 바이트 제외)",
    ),
    ("Event", "이벤트"),
    ("Framing", "프레이밍"),
    ("Response heads", "응답 헤더"),
    ("Response headers", "응답 헤더"),
    ("Request heads", "요청 헤더"),
    ("Request headers", "요청 헤더"),
    ("Empty polls", "빈 폴링"),
    ("TLS records", "TLS 레코드"),
    ("Handshake", "핸드셰이크"),
    (
        "A delivery costs the server {1} us of CPU over {2}, {3} us over {4}",
        "이벤트 하나를 전달하는 데 드는 서버 CPU: {2} {1} us, {4} {3} us",
    ),
    ("Server CPU per delivered event", "전달된 이벤트당 서버 CPU"),
    (
        "CPU time of the server process: geometric mean, and each round as a dot; {1}",
        "서버 프로세스의 CPU 시간. 막대는 기하 평균, 점은 라운드별 값 ({1})",
    ),
    ("microseconds of CPU per delivered event", "전달된 이벤트당 CPU 시간 (us)"),
    // Sequence diagrams, and the lanes that are drawn of them.
    ("{1}: {2} crossings and {3} bytes for three events", "{1}: 이벤트 세 개에 메시지 {2}개, {3}바이트"),
    ("{1}: {2} messages and {3} bytes for three events", "{1}: 이벤트 세 개에 메시지 {2}개, {3}바이트"),
    (
        "Time runs down, in ms; each arrow is what one side sent at once, with its bytes",
        "시간(ms)은 아래로 흐른다. 화살표는 한쪽이 한 번에 보낸 데이터이고, 괄호 안은 바이트 수다",
    ),
    ("client", "클라이언트"),
    ("server", "서버"),
    ("TCP opens", "TCP 연결 요청"),
    ("opened", "연결됨"),
    ("{1} ({2} B)", "{1} ({2} B)"),
    ("{1}, 1 event", "{1}, 이벤트 1개"),
    ("{1}, {2} events", "{1}, 이벤트 {2}개"),
    ("response", "응답"),
    ("chunk", "청크"),
    ("line", "줄"),
    ("frame", "프레임"),
    ("event {1} published", "이벤트 {1} 발행"),
    ("event {1} after {2} ms", "이벤트 {1}: {2} ms 후 도착"),
    ("up to {1} ms, {2} B", "최대 {1} ms, {2} B"),
    ("event {1}: {2} ms", "이벤트 {1}: {2} ms"),
    // The charts that are drawn for slides.
    ("median delivery latency", "전달 지연의 중앙값"),
    ("Headers", "헤더"),
    ("server CPU per delivered event", "전달된 이벤트당 서버 CPU"),
    (
        "{1}: one response carries {2} events, which share its headers and its work",
        "{1}: 응답 하나에 이벤트 {2}개가 실려 헤더와 처리 비용을 나눈다",
    ),
    (
        "server CPU in ms a second, without an event, {1} subscribers",
        "이벤트가 없을 때의 서버 CPU (초당 ms), 구독자 {1}명",
    ),
    (
        "requests in the 100 ms after one event, {1} subscribers",
        "이벤트 하나를 발행한 뒤 100 ms 동안의 요청 수, 구독자 {1}명",
    ),
    ("requests a second of a subscriber", "구독자 한 명의 초당 요청 수"),
    ("{1} Polling", "{1} 폴링"),
    ("{1} Long polling", "{1} 롱 폴링"),
    ("{1} HTTP stream", "{1} HTTP 스트리밍"),
    ("{1} WebSocket", "{1} 웹소켓"),
    ("{1} Multipart", "{1} 멀티파트"),
    ("{1} Hidden iframe", "{1} 숨은 iframe"),
    // The diagram of a frame.
    ("byte {1}", "바이트 {1}"),
    ("the payload, 5 bytes", "페이로드 5바이트"),
    ("the message ends with this frame", "이 프레임에서 메시지가 끝난다"),
    ("no extension changes the frame", "프레임을 바꾸는 확장이 없다"),
    ("1, text", "1, 텍스트"),
    ("not masked, so it comes from a server", "마스크 없음: 서버가 보낸 프레임이다"),
    ("5 bytes of payload", "페이로드 5바이트"),
    ("payload", "페이로드"),
    ("length", "길이"),
    ("UTF-8, with no length or mark of an end of its own", "UTF-8, 끝을 알리는 표시는 따로 없다"),
    // Charts of experiments.
    ("{1}; dashed: theory", "{1}, 점선은 이론값"),
    (
        "Mean delivery latency: {1} {2} to {3} ms, {4} {5} to {6} ms",
        "평균 전달 지연: {1} {2} → {3} ms, {4} {5} → {6} ms",
    ),
    ("Mean delivery latency", "평균 전달 지연"),
    ("mean delivery latency in ms", "평균 전달 지연 (ms)"),
    (
        "Bytes on the wire per event: {1} {2} to {3}, {4} {5} to {6}",
        "이벤트당 전송 바이트: {1} {2} → {3}, {4} {5} → {6}",
    ),
    ("bytes on the wire per event", "이벤트당 전송 바이트"),
    ("Requests per event: {1} {2} to {3}, {4} {5} to {6}", "이벤트당 요청 수: {1} {2} → {3}, {4} {5} → {6}"),
    ("Requests per event", "이벤트당 요청 수"),
    ("requests per event", "이벤트당 요청 수"),
    ("poll interval in ms", "폴링 주기 (ms)"),
    ("one-way delay in ms", "단방향 지연 (ms)"),
    ("events a second", "초당 이벤트 수"),
    ("subscribers", "구독자 수"),
    (
        "While nothing happens: {1} ms of CPU a second for {2} pollers, {3} ms for as many long polls",
        "이벤트가 없을 때의 서버 CPU: 폴링 구독자 {2}명에 초당 {1} ms, 같은 수의 롱 폴링에 {3} ms",
    ),
    ("server CPU in ms a second", "서버 CPU (초당 ms)"),
    (
        "One event brings {1} of {2} long pollers back within 100 ms",
        "이벤트 하나가 발행되면 롱 폴링 구독자 {2}명 중 {1}명이 100 ms 안에 다시 요청한다",
    ),
    ("server CPU in the 100 ms after one event, in ms", "이벤트 하나를 발행한 뒤 100 ms 동안의 서버 CPU (ms)"),
    ("TLS takes one more round trip until a WebSocket is open", "TLS를 쓰면 웹소켓이 열릴 때까지 왕복이 한 번 더 든다"),
    ("until it is open, in ms", "열릴 때까지 걸린 시간 (ms)"),
    ("within TLS", "TLS 사용"),
    ("without TLS", "TLS 없음"),
    (
        "Least server CPU at {1} ms of delay: polling in {2}, long polling in {3}, a push transport in {4}, ties in {5} of {6} cells",
        "단방향 지연 {1} ms에서 서버 CPU가 가장 적은 전송 방식: {6}칸 중 폴링 {2}, 롱 폴링 {3}, 푸시 {4}, 동률 {5}",
    ),
    ("From bottom to top: {1}", "세로축: {1}"),
    ("how old an event may be when it arrives", "이벤트의 허용 지연"),
    ("acceptable age of an event when it arrives", "이벤트의 허용 지연"),
    (
        "Lowest server CPU at {1} ms of delay: polling in {2}, long polling in {3}, a push transport in {4}, ties in {5} of {6} cells",
        "단방향 지연 {1} ms에서 서버 CPU가 가장 적은 전송 방식: {6}칸 중 폴링 {2}, 롱 폴링 {3}, 푸시 {4}, 동률 {5}",
    ),
    (
        "Without events: {1} ms of CPU a second for {2} pollers, {3} ms for as many long polls",
        "이벤트가 없을 때의 서버 CPU: 폴링 구독자 {2}명에 초당 {1} ms, 같은 수의 롱 폴링에 {3} ms",
    ),
    ("a tie", "동률"),
    ("theory", "이론값"),
    ("{1}: {2}; all others: {3} at most", "{1}: {2}, 나머지는 최대 {3}"),
    (
        "late deliveries per lost packet, while {1} % of the packets are lost",
        "손실된 패킷당 늦어진 전달 (패킷 손실 {1} %)",
    ),
    ("about {1} us/s", "약 {1} us/s"),
    ("push", "푸시"),
    ("push, {1}", "푸시, {1}"),
    ("Polling, {1}", "폴링, {1}"),
    ("Long polling, {1}", "롱 폴링, {1}"),
    ("{1}: {2} times that", "{1}: {2}배"),
    ("none is fast enough", "모두 허용 지연 초과"),
    ("Bytes of an event over each generation of transports", "세대별 전송 방식의 이벤트당 바이트"),
    ("wire bytes per event", "이벤트당 전송 바이트"),
    ("Latency over each generation of transports", "세대별 전송 방식의 지연 시간"),
    ("mean latency in ms", "평균 지연 시간 (ms)"),
    ("years after {1}", "{1}년부터 지난 햇수"),
    (
        "Time to the first event over WebSocket and the protocols on top of it",
        "웹소켓과 그 위의 프로토콜에서 첫 이벤트까지 걸리는 시간",
    ),
    ("until the first event, in ms", "첫 이벤트까지 걸린 시간 (ms)"),
    ("Bytes of a message to some of the clients", "일부 클라이언트에게 보내는 메시지의 바이트"),
    ("bytes received per message", "메시지당 수신 바이트"),
    ("addressees of a message", "메시지의 수신 대상 클라이언트 수"),
    ("room", "룸"),
    ("filter", "클라이언트 필터"),
    // Figures with their intervals.
    ("{1} (95\u{a0}%: {2} to {3})", "{1}(95\u{a0}%: {2}~{3})"),
    ("{1} (no interval)", "{1}(신뢰구간 없음)"),
    ("not measured", "측정하지 못함"),
    ("an unknown share", "알 수 없음"),
    // Claim 3.
    (
        "At {1} events/s: {2} times WebSocket's latency at {3} ms of delay, {4} times at {5} ms",
        "초당 이벤트 {1}개에서 전달 지연이 웹소켓의 {2}배(단방향 지연 {3} ms), {4}배({5} ms)",
    ),
    (
        "At {1} events/s, mean latency over WebSocket's: {2} times at {3} ms of delay, {4} times at {5} ms",
        "초당 이벤트 {1}개, 웹소켓 대비 평균 전달 지연: 단방향 지연 {3} ms에서 {2}배, {5} ms에서 {4}배",
    ),
    // Claim 35.
    (
        "Mean latency of WebSocket: {1} times that of HTTP streaming, {2} times that of SSE",
        "웹소켓의 평균 전달 지연: HTTP 스트리밍의 {1}배, SSE의 {2}배",
    ),
    // Claim 46.
    (
        "Requests of long polling over those of polling: {1} times at {2} events/s, {3} times at {4} events/s",
        "폴링 대비 롱 폴링의 요청 수: 초당 이벤트 {2}개에서 {1}배, {4}개에서 {3}배",
    ),
    // Claim 48, and the table of its experiment.
    (
        "SSE: {1} ms until the first token, then each about {2} ms late, {3} B per token. WebSocket: {4} ms until the first token, then \
         each about {5} ms late, {6} B per token. First token, SSE to WebSocket: {7}; lateness: {8}",
        "SSE: 첫 토큰까지 {1} ms, 그 뒤 토큰마다 약 {2} ms 늦음, 토큰당 {3} B. 웹소켓: 첫 토큰까지 {4} ms, 그 뒤 토큰마다 약 {5} ms 늦음, 토큰당 \
         {6} B. 웹소켓 대비 SSE: 첫 토큰까지의 시간 {7}배, 늦은 시간 {8}배",
    ),
    ("asked by", "요청 방법"),
    ("Whole text", "전체 텍스트"),
    ("first token after, ms", "첫 토큰까지 (ms)"),
    ("bytes per token", "토큰당 바이트"),
    ("requests", "요청 수"),
    // Claim 49.
    (
        "Late deliveries per lost packet: {1} over SSE with two subscriptions on a TCP connection, {2} over WebSocket, {3} over one QUIC \
         stream, {4} with a QUIC stream for each event. The first over the last: {5}",
        "손실된 패킷당 늦어진 전달: 구독 두 개가 TCP 연결 하나를 쓰는 SSE {1}, 웹소켓 {2}, QUIC 스트림 하나 {3}, 이벤트마다 QUIC 스트림 하나 {4}. 첫째와 \
         마지막의 비: {5}",
    ),
    ("WT streams", "WT 스트림"),
    ("WT datagrams", "WT 데이터그램"),
    // Claim 4.
    (
        "Polls each {1} ms are {2} a second. Long polls: {3} at {4} events/s, {5} at {6}",
        "폴링 주기 {1} ms면 초당 요청 {2}개. 롱 폴링은 초당 이벤트 {4}개에서 {3}개, {6}개에서 {5}개",
    ),
    (
        "Requests a second and a subscriber, long polling against polling: {1}. They {2}",
        "구독자당 초당 요청 수(롱 폴링 대 폴링): {1}. {2}",
    ),
    ("{1} against {2} at {3} events/s, {4}", "초당 이벤트 {3}개에서 {1} 대 {2}, {4}"),
    ("{1} against {2} at {3} events/s", "초당 이벤트 {3}개에서 {1} 대 {2}"),
    ("cross at {1} events/s", "초당 이벤트 {1}개에서 같아진다"),
    ("cross nowhere between the rates tried", "측정한 범위에서는 같아지지 않는다"),
    // Claim 5.
    (
        "At {1} events/s: {2} requests an event over long polling, {3} over polling; {4} ms against {5} ms",
        "초당 이벤트 {1}개에서 이벤트당 요청 수는 롱 폴링 {2}, 폴링 {3}. 전달 지연은 {4} ms 대 {5} ms",
    ),
    (
        "At {1} events/s, long polling over polling: {2} times the requests, {3} times the mean latency, {4} times the server CPU (the \
         server had {5} of a processor)",
        "초당 이벤트 {1}개, 폴링 대비 롱 폴링: 요청 수 {2}배, 평균 전달 지연 {3}배, 서버 CPU {4}배. 서버의 CPU 사용률 {5}",
    ),
    (
        "At {1} events/s, long polling over polling: {2} times the requests, {3} times the mean latency, {4} times the server CPU (the \
         server used {5} of a processor)",
        "초당 이벤트 {1}개, 폴링 대비 롱 폴링: 요청 수 {2}배, 평균 전달 지연 {3}배, 서버 CPU {4}배. 서버의 CPU 사용률 {5}",
    ),
    // Claim 8.
    (
        "Heads an event: {1} B over long polling; over a stream {2} B once, so {3} B an event after {4} events",
        "이벤트당 헤더: 롱 폴링 {1} B. 스트리밍은 처음 한 번 {2} B이므로 이벤트 {4}개 뒤에는 이벤트당 {3} B",
    ),
    (
        "Head bytes for each event of {1} B, on connections that carried {2} events: {3} B over polling, {4} B over long polling, {5} B \
         over HTTP streaming, {6} B over SSE",
        "{1} B인 이벤트 하나당 헤더(연결마다 이벤트 {2}개): 폴링 {3} B, 롱 폴링 {4} B, HTTP 스트리밍 {5} B, SSE {6} B",
    ),
    (
        "Header bytes for each event of {1} B, on connections that carried {2} events: {3} B over polling, {4} B over long polling, {5} B \
         over HTTP streaming, {6} B over SSE",
        "{1} B인 이벤트 하나당 헤더(연결마다 이벤트 {2}개): 폴링 {3} B, 롱 폴링 {4} B, HTTP 스트리밍 {5} B, SSE {6} B",
    ),
    // Claim 10.
    (
        "{1} requests: {2} connection kept alive, {3} when each is closed; an answer after {4} and {5} ms at {6} ms of delay",
        "요청 {1}개에 쓰인 연결: 유지하면 {2}개, 매번 닫으면 {3}개. 단방향 지연 {6} ms에서 응답까지 각각 {4} ms, {5} ms",
    ),
    (
        "{1} requests: the server accepted {2} connection over HTTP/1.1, {3} where each request says Connection: close, {4} over HTTP/1.0; \
         an answer after {5}, {6} and {7} ms at {8} ms of delay",
        "요청 {1}개에 서버가 수락한 연결: HTTP/1.1 {2}개, Connection: close를 붙이면 {3}개, HTTP/1.0 {4}개. 단방향 지연 {8} ms에서 응답까지 \
         각각 {5}, {6}, {7} ms",
    ),
    (
        "{1} requests: the server accepted {2} connection over HTTP/1.1, {3} where each request has Connection: close, {4} over HTTP/1.0; a \
         response after {5}, {6} and {7} ms at {8} ms of delay",
        "요청 {1}개에 서버가 수락한 연결: HTTP/1.1 {2}개, Connection: close를 붙이면 {3}개, HTTP/1.0 {4}개. 단방향 지연 {8} ms에서 응답까지 \
         각각 {5}, {6}, {7} ms",
    ),
    // Claims 22, 23 and 26.
    (
        "the framing of the 2010 draft: 0x00, 200 letters, 0xFF: {1}; text that is not UTF-8: {2}",
        "2010년 초안의 프레이밍(0x00, 글자 200개, 0xFF): {1}. UTF-8이 아닌 텍스트: {2}",
    ),
    ("bytes that are not text, as binary: {1}", "텍스트가 아닌 바이트를 바이너리 프레임으로 보냄: {1}"),
    ("bytes that are no text, as binary: {1}", "텍스트가 아닌 바이트를 바이너리 프레임으로 보냄: {1}"),
    (
        "Over HTTP/1.1, a second handshake on the connection of an open WebSocket: {1}",
        "HTTP/1.1: 열려 있는 웹소켓 연결에서 핸드셰이크를 다시 시도함: {1}",
    ),
    ("Two conversations: {1} connections", "대화 두 개에 연결 {1}개"),
    ("{1}, then {2}", "{1} 이후 {2}"),
    ("close, code {1}", "close 프레임(코드 {1})"),
    ("Binary, {1} bytes", "바이너리 프레임({1}바이트)"),
    ("Binary {1}", "바이너리 프레임 {1} 수신"),
    ("Text, {1} bytes", "텍스트 프레임({1}바이트)"),
    ("the connection ended", "연결 종료"),
    ("nothing came in time", "제한 시간 안에 아무것도 받지 못함"),
    ("another 101", "다시 101 응답"),
    // Claim 24.
    ("{1} B of frame header an event of {2} B", "{2} B인 이벤트 하나에 프레임 헤더 {1} B"),
    // Claims 29, 32, 33, 38 and 47.
    (
        "The same events: {1} B of framing each as WebSocket messages, and {2} B as STOMP frames in such messages",
        "같은 이벤트의 프레이밍: 웹소켓 메시지 {1} B, 그 안의 STOMP 프레임 {2} B",
    ),
    (
        "Framing: {1} B an event instead of {2}. Server CPU an event, over that of bare WebSocket: {3}, at {4} of a processor. A message of \
         {5} B takes {6} B up instead of {7}, and its acknowledgement {8} B",
        "이벤트당 프레이밍 {1} B(웹소켓만 쓰면 {2} B). 웹소켓 대비 이벤트당 서버 CPU {3}배, 서버의 CPU 사용률 {4}. {5} B짜리 메시지를 보내는 데 \
         {6} B(웹소켓만 쓰면 {7} B), 확인 응답 {8} B",
    ),
    (
        "From a page of this server: status {1}. Of another origin: {2}. Of another origin that the options allow: {3}",
        "이 서버의 페이지에서 요청: 상태 코드 {1}. 다른 출처: {2}. 서버가 허용한 다른 출처: {3}",
    ),
    ("websocket", "웹소켓"),
    (
        "The response to its first poll names the upgrades: {1}. A plain WebSocket at its path gets status {2}. Until its first event, its \
         client sends {3} requests",
        "첫 폴링 응답이 알려 주는 업그레이드: {1}. 같은 경로에 일반 웹소켓으로 접속하면 상태 코드 {2}. 첫 이벤트까지 클라이언트가 보낸 요청 {3}개",
    ),
    (
        "A message for {1} of {2} clients takes {3} B with a room, and {4} B where each client filters; the server uses {5} us of CPU time \
         instead of {6} us. For all clients: {7} B and {8} B",
        "클라이언트 {2}개 중 {1}개가 받을 메시지: 룸을 쓰면 {3} B, 클라이언트가 걸러 내면 {4} B. 서버 CPU는 {5} us 대 {6} us. 모든 클라이언트가 받을 \
         메시지: {7} B, {8} B",
    ),
    // Parts of the texts above. They come last because they also match whole texts that end in them.
    ("{1}, {2} events/s", "{1}, 초당 이벤트 {2}개"),
    ("{1} subscribers", "구독자 {1}명"),
    ("{1} subscribers in {2} processes", "구독자 {1}명(프로세스 {2}개)"),
    ("{1}, over TLS", "{1}, TLS 사용"),
]);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dictionary::english_words;

    /// The numbers of a pattern's placeholders, in the order of the pattern.
    fn placeholders(pattern: &str) -> Vec<usize> {
        pattern.split('{').skip(1).map(|rest| rest.split_once('}').unwrap().0.parse().unwrap()).collect()
    }

    #[test]
    fn every_translation_has_the_placeholders_of_its_pattern_and_no_english() {
        for (pattern, translation) in KOREAN.0 {
            let numbers = placeholders(pattern);
            assert!(numbers.iter().copied().eq(1..=numbers.len()), "{pattern}");
            let mut sorted = placeholders(translation);
            sorted.sort_unstable();
            assert_eq!(sorted, numbers, "{pattern}");
            assert!(english_words(translation).is_empty(), "{translation}");
        }
    }

    #[test]
    fn a_sentence_with_names_figures_and_intervals_is_translated() {
        let english = "At 25 events/s, mean latency over WebSocket's: 1.21 (95\u{a0}%: 1.11 to 1.33) times at 4 ms of delay, 2.00 (no \
                       interval) times at 100 ms";
        let korean = "초당 이벤트 25개, 웹소켓 대비 평균 전달 지연: 단방향 지연 4 ms에서 1.21(95\u{a0}%: 1.11~1.33)배, 100 ms에서 \
                      2.00(신뢰구간 없음)배";
        assert_eq!(KOREAN.text(english), korean);
        let english = "Requests a second and a subscriber, long polling against polling: 2.70 against 4.00 at 2.70 events/s, 19.0 against \
                       4.00 at 20.3 events/s. They cross at 4.05 events/s";
        let korean = "구독자당 초당 요청 수(롱 폴링 대 폴링): 초당 이벤트 2.70개에서 2.70 대 4.00, 초당 이벤트 20.3개에서 19.0 대 4.00. \
                      초당 이벤트 4.05개에서 같아진다";
        assert_eq!(KOREAN.text(english), korean);
    }
}

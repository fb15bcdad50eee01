//! The presenter: the only one who may publish and control, where a token is needed for that.
//!
//! The printed link carries the token in its fragment, which browsers send to no server and write into no trace. The page that it
//! opens hands the token in once, in `Authorization`, and gets a cookie for it (see `page/presenter.js`); programs send the token in
//! `Authorization` each time. The cookie's value is a secret of its own, made at the start, so it does not give the token away.

use std::io;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderValue, RETRY_AFTER, SET_COOKIE};
use ring::hmac;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::answer::{self, Answer};

/// How long a wrong token is left without an answer.
const DELAY: Duration = Duration::from_secs(1);
/// How many wrong tokens may wait for their answer at once; further ones are answered with 429.
const MAX_DELAYED: usize = 32;

/// What a request says of the presenter.
#[derive(Debug, PartialEq, Eq)]
pub enum Credentials {
    /// It bears the presenter's token or cookie, or none is needed.
    Presenter,
    /// It claims nothing. A cookie that is not ours is no claim: an earlier server may have set it.
    Viewer,
    /// It bears another token.
    Wrong,
}

/// What marks a request as the presenter's.
pub struct Presenter {
    /// Tokens and cookies are compared by what this key makes of them, which takes the same time however much of them is right.
    key: hmac::Key,
    token: hmac::Tag,
    cookie: hmac::Tag,
    cookie_name: String,
    set_cookie: HeaderValue,
    delayed: Semaphore,
}

impl Presenter {
    /// The presenter who knows `token`, on a server at `port` that speaks TLS or not. Browsers keep the cookies of all ports of a host
    /// together, so the port is in the cookie's name.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn new(token: &str, port: u16, tls: bool) -> io::Result<Self> {
        let (key, value) = (hmac::Key::new(hmac::HMAC_SHA256, secret()?.as_bytes()), secret()?);
        let cookie_name = format!("lab-presenter-{port}");
        let secure = if tls { "; Secure" } else { "" };
        let set_cookie = format!("{cookie_name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}");
        let mut set_cookie = HeaderValue::try_from(set_cookie).expect("letters, digits and separators");
        set_cookie.set_sensitive(true);
        Ok(Self {
            token: hmac::sign(&key, token.as_bytes()),
            cookie: hmac::sign(&key, value.as_bytes()),
            key,
            cookie_name,
            set_cookie,
            delayed: Semaphore::new(MAX_DELAYED),
        })
    }

    /// Whose request bears these headers.
    pub fn credentials(&self, headers: &HeaderMap) -> Credentials {
        let is = |tag: &hmac::Tag, given: &[u8]| hmac::verify(&self.key, given, tag.as_ref()).is_ok();
        let cookies = headers.get_all(COOKIE).iter().flat_map(|cookies| cookies.as_bytes().split(|&byte| byte == b';'));
        let ours = |cookie: &[u8]| {
            let value =
                cookie.trim_ascii().strip_prefix(self.cookie_name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
            value.is_some_and(|value| is(&self.cookie, value))
        };
        if { cookies }.any(ours) {
            return Credentials::Presenter;
        }
        let mut tokens = headers.get_all(AUTHORIZATION).iter().filter_map(|value| bearer(value.as_bytes()));
        match tokens.next() {
            None => Credentials::Viewer,
            Some(token) if is(&self.token, token) && tokens.next().is_none() => Credentials::Presenter,
            Some(_) => Credentials::Wrong,
        }
    }

    /// Gives the presenter the cookie.
    pub fn welcome(&self) -> Answer {
        let mut answer = answer::empty(StatusCode::NO_CONTENT);
        answer.headers_mut().insert(SET_COOKIE, self.set_cookie.clone());
        answer
    }

    /// Answers a wrong token: 403, late, or 429 at once where too many wait already. A right token never waits, so guesses keep the
    /// presenter from nothing; what protects a token is its length.
    pub async fn refuse(&self) -> Answer {
        let Ok(_waiting) = self.delayed.try_acquire() else {
            let mut answer = answer::text(StatusCode::TOO_MANY_REQUESTS, "too many wrong tokens; try again in 1 s\n");
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            return answer;
        };
        sleep(DELAY).await;
        answer::text(StatusCode::FORBIDDEN, "this is not the presenter's token\n")
    }
}

/// The token that a value of `Authorization` bears (RFC 6750, section 2.1); a scheme other than `Bearer` is another program's.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

/// A secret: 16 random bytes in hex.
///
/// # Errors
/// When the system gives no random numbers.
pub fn secret() -> io::Result<String> {
    let mut bytes = [0u8; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    const TOKEN: &str = "abcdefgh12345678";

    fn headers(lines: &[(hyper::header::HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        lines.iter().for_each(|(name, value)| _ = headers.append(name, value.parse().unwrap()));
        headers
    }

    fn who(presenter: &Presenter, lines: &[(hyper::header::HeaderName, &str)]) -> Credentials {
        presenter.credentials(&headers(lines))
    }

    fn cookie(presenter: &Presenter) -> String {
        presenter.set_cookie.to_str().unwrap().split(';').next().unwrap().into()
    }

    #[test]
    fn a_request_is_the_presenters_by_token_or_by_cookie() {
        let presenter = Presenter::new(TOKEN, 8080, false).unwrap();
        assert_eq!(who(&presenter, &[]), Credentials::Viewer);
        for right in ["Bearer abcdefgh12345678", "bearer abcdefgh12345678"] {
            assert_eq!(who(&presenter, &[(AUTHORIZATION, right)]), Credentials::Presenter);
        }
        for wrong in ["Bearer ", "Bearer abcdefgh1234567", "Bearer abcdefgh123456789", "Bearer  abcdefgh12345678"] {
            assert_eq!(who(&presenter, &[(AUTHORIZATION, wrong)]), Credentials::Wrong, "{wrong}");
        }
        assert_eq!(who(&presenter, &[(AUTHORIZATION, "Basic dXNlcjpwYXNz")]), Credentials::Viewer, "a proxy's own");
        let twice = [(AUTHORIZATION, "Bearer abcdefgh12345678"), (AUTHORIZATION, "Bearer another")];
        assert_eq!(who(&presenter, &twice), Credentials::Wrong);

        let ours = cookie(&presenter);
        for right in [ours.clone(), format!("session=1; {ours}"), format!("lab-presenter-8080=old;{ours}; b=2")] {
            assert_eq!(who(&presenter, &[(COOKIE, &right)]), Credentials::Presenter, "{right}");
        }
        for other in [format!("{ours}0"), format!("x{ours}"), format!("lab-presenter-8080={TOKEN}")] {
            assert_eq!(who(&presenter, &[(COOKIE, &other)]), Credentials::Viewer, "{other}");
        }
    }

    #[test]
    fn servers_on_one_host_have_cookies_of_their_own() {
        let [first, second] = [8080, 9090].map(|port| Presenter::new(TOKEN, port, false).unwrap());
        let both = headers(&[(COOKIE, &format!("{}; {}", cookie(&first), cookie(&second)))]);
        assert_eq!(
            (first.credentials(&both), second.credentials(&both)),
            (Credentials::Presenter, Credentials::Presenter)
        );
        let one = headers(&[(COOKIE, &cookie(&first))]);
        assert_eq!((first.credentials(&one), second.credentials(&one)), (Credentials::Presenter, Credentials::Viewer));
    }

    #[test]
    fn the_cookie_is_not_the_token_and_no_script_or_other_site_gets_it() {
        let text = |tls| Presenter::new(TOKEN, 8080, tls).unwrap().set_cookie.to_str().unwrap().to_string();
        assert!(!text(false).contains(TOKEN));
        assert!(text(false).ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{}", text(false));
        assert!(text(true).ends_with("; Path=/; HttpOnly; SameSite=Strict; Secure"), "{}", text(true));
    }

    #[test]
    fn wrong_tokens_wait_for_their_answer_and_only_so_many_at_once() {
        let presenter = Presenter::new(TOKEN, 8080, false).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut refusals: Vec<_> = (0..MAX_DELAYED).map(|_| Box::pin(presenter.refuse())).collect();
            for refusal in &mut refusals {
                assert!(refusal.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            }
            assert_eq!(presenter.refuse().await.status(), StatusCode::TOO_MANY_REQUESTS);
            // One that leaves makes room.
            refusals.pop();
            assert_eq!(presenter.refuse().await.status(), StatusCode::FORBIDDEN);
            assert_eq!(refusals.pop().unwrap().await.status(), StatusCode::FORBIDDEN);
        });
    }
}

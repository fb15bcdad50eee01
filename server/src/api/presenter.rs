//! Recognizes the presenter's requests. If the server requires a token, only the presenter may publish and control.
//!
//! The printed link has the token in its fragment, which browsers do not send to servers. The page that it opens sends the token once, in
//! `Authorization`, and receives a cookie (see `page/presenter.js`). Programs send the token in `Authorization` with each request. The
//! cookie's value is another secret, made when the server starts, so it does not reveal the token.

use std::io;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderValue, RETRY_AFTER, SET_COOKIE};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::response::{self, Response};

/// The delay before the response to a wrong token.
const DELAY: Duration = Duration::from_secs(1);
/// How many responses to wrong tokens may be delayed at the same time; further ones are 429 without delay.
const MAX_DELAYED: usize = 32;

/// The rights that a request's headers prove.
#[derive(Debug, PartialEq, Eq)]
pub enum Credentials {
    /// It has the presenter's token or cookie.
    Presenter,
    /// It has no token. An unknown cookie is ignored, since an earlier server may have set it.
    Viewer,
    /// It has a wrong token.
    Wrong,
}

/// Recognizes the presenter's requests.
pub struct Presenter {
    /// Tokens and cookies are compared by their HMAC under this key, so that the time of a comparison reveals nothing.
    key: hmac::Key,
    token: hmac::Tag,
    cookie: hmac::Tag,
    cookie_name: String,
    set_cookie: HeaderValue,
    delayed: Semaphore,
}

impl Presenter {
    /// For a presenter who knows `token`, and a server at `port` with or without TLS. The cookie's name contains the port, since browsers
    /// share cookies among all ports of a host.
    ///
    /// # Errors
    /// When the system provides no random numbers.
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

    /// The credentials in these headers.
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

    /// Whether `token` is the presenter's, for protocols that send it in a message of their own. The answer for a wrong one is delayed, as
    /// [`Self::refuse`] does, unless too many are delayed already.
    pub async fn check(&self, token: &str) -> bool {
        if hmac::verify(&self.key, token.as_bytes(), self.token.as_ref()).is_ok() {
            return true;
        }
        if let Ok(_waiting) = self.delayed.try_acquire() {
            sleep(DELAY).await;
        }
        false
    }

    /// The response that sets the presenter's cookie.
    pub fn welcome(&self) -> Response {
        let mut response = response::empty(StatusCode::NO_CONTENT);
        response.headers_mut().insert(SET_COOKIE, self.set_cookie.clone());
        response
    }

    /// The response to a wrong token: a delayed 403, or 429 at once if too many are delayed already. A correct token is never delayed, so
    /// guesses do not hinder the presenter. The length of the token protects it against guessing, and not the delay.
    pub async fn refuse(&self) -> Response {
        let Ok(_waiting) = self.delayed.try_acquire() else {
            let mut response =
                response::text(StatusCode::TOO_MANY_REQUESTS, "too many wrong tokens; try again in 1 s\n");
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            return response;
        };
        sleep(DELAY).await;
        response::text(StatusCode::FORBIDDEN, "this is not the presenter's token\n")
    }
}

/// The token in a value of `Authorization` (RFC 6750, section 2.1); `None` for a scheme other than `Bearer`.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

/// 16 random bytes in hex.
///
/// # Errors
/// When the system provides no random numbers.
pub fn secret() -> io::Result<String> {
    let mut bytes = [0u8; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("no random numbers"))?;
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

    fn credentials(presenter: &Presenter, lines: &[(hyper::header::HeaderName, &str)]) -> Credentials {
        presenter.credentials(&headers(lines))
    }

    fn cookie(presenter: &Presenter) -> String {
        presenter.set_cookie.to_str().unwrap().split(';').next().unwrap().into()
    }

    #[test]
    fn a_request_with_the_token_or_the_cookie_is_the_presenters() {
        let presenter = Presenter::new(TOKEN, 8080, false).unwrap();
        assert_eq!(credentials(&presenter, &[]), Credentials::Viewer);
        for right in ["Bearer abcdefgh12345678", "bearer abcdefgh12345678"] {
            assert_eq!(credentials(&presenter, &[(AUTHORIZATION, right)]), Credentials::Presenter);
        }
        for wrong in ["Bearer ", "Bearer abcdefgh1234567", "Bearer abcdefgh123456789", "Bearer  abcdefgh12345678"] {
            assert_eq!(credentials(&presenter, &[(AUTHORIZATION, wrong)]), Credentials::Wrong, "{wrong}");
        }
        assert_eq!(
            credentials(&presenter, &[(AUTHORIZATION, "Basic dXNlcjpwYXNz")]),
            Credentials::Viewer,
            "a proxy's own"
        );
        let twice = [(AUTHORIZATION, "Bearer abcdefgh12345678"), (AUTHORIZATION, "Bearer another")];
        assert_eq!(credentials(&presenter, &twice), Credentials::Wrong);

        let ours = cookie(&presenter);
        for right in [ours.clone(), format!("session=1; {ours}"), format!("lab-presenter-8080=old;{ours}; b=2")] {
            assert_eq!(credentials(&presenter, &[(COOKIE, &right)]), Credentials::Presenter, "{right}");
        }
        for other in [format!("{ours}0"), format!("x{ours}"), format!("lab-presenter-8080={TOKEN}")] {
            assert_eq!(credentials(&presenter, &[(COOKIE, &other)]), Credentials::Viewer, "{other}");
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
    fn the_cookie_does_not_contain_the_token_and_scripts_and_other_sites_cannot_read_it() {
        let text = |tls| Presenter::new(TOKEN, 8080, tls).unwrap().set_cookie.to_str().unwrap().to_string();
        assert!(!text(false).contains(TOKEN));
        assert!(text(false).ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{}", text(false));
        assert!(text(true).ends_with("; Path=/; HttpOnly; SameSite=Strict; Secure"), "{}", text(true));
    }

    #[test]
    fn responses_to_wrong_tokens_are_delayed_up_to_a_maximum_number_at_once() {
        let presenter = Presenter::new(TOKEN, 8080, false).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut refusals: Vec<_> = (0..MAX_DELAYED).map(|_| Box::pin(presenter.refuse())).collect();
            for refusal in &mut refusals {
                assert!(refusal.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            }
            assert_eq!(presenter.refuse().await.status(), StatusCode::TOO_MANY_REQUESTS);
            // Dropping one makes room for another.
            refusals.pop();
            assert_eq!(presenter.refuse().await.status(), StatusCode::FORBIDDEN);
            assert_eq!(refusals.pop().unwrap().await.status(), StatusCode::FORBIDDEN);
        });
    }
}

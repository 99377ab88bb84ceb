//! A bound on what Route 53 may answer: the SDK keeps whole answers in memory, however large.

use aws_sdk_route53::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_route53::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_route53::error::BoxError;
use aws_smithy_types::body::SdkBody;
use fleetdns_core::limits::ANSWER_BYTES;
use http_body_util::Limited;

/// Ends an answer that is larger than [`ANSWER_BYTES`].
#[derive(Debug)]
pub(crate) struct Bounded;

impl Intercept for Bounded {
    fn name(&self) -> &'static str {
        "Bounded"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response_mut().body_mut();
        let whole = std::mem::replace(body, SdkBody::taken());
        *body = SdkBody::from_body_1_x(Limited::new(whole, ANSWER_BYTES));
        Ok(())
    }
}

//! `<channel>`.

use roxmltree::Node;

use crate::element::{Context, Element, Text};
use crate::names::Names;
use crate::{Channel, End, Fault};

const END: &[&str] = &["pd", "id", "pp", "notify", "setvar_id"];

/// Reads a channel; `None` where it does not have two ends that can be read.
pub(super) fn channel(
    node: Node<'_, '_>,
    names: &Names<'_>,
    context: &Context<'_>,
) -> Option<Channel> {
    let element = Element::new(node, "channel", &[], context);
    let nodes: Vec<_> = element.children(&["end"]).collect();
    if nodes.len() != 2 {
        element.note(Fault::ChannelEnds { found: nodes.len() });
    }
    let ends: Vec<End> = nodes
        .iter()
        .filter_map(|(_, node)| end(*node, names, context))
        .collect();
    let ends: [End; 2] = ends.try_into().ok()?;
    if ends.iter().all(|end| end.pp.value) {
        context.note(ends[1].pp.span.clone(), Fault::CallsBothWays);
    }
    Some(Channel {
        span: element.span(),
        ends,
    })
}

fn end(node: Node<'_, '_>, names: &Names<'_>, context: &Context<'_>) -> Option<End> {
    let element = Element::leaf(node, "end", END, context);
    let pd = element.required("pd", |text| names.pd(text));
    let id = element.required("id", Text::id);
    Some(End {
        span: element.span(),
        pp: element.or("pp", false, Text::boolean),
        notify: element.or("notify", true, Text::boolean),
        setvar_id: element.optional("setvar_id", Text::name),
        pd: pd?,
        id: id?,
    })
}

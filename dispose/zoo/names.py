"""Names of parameters: what a tensor is called in released files, and in files of ours from before, and what here.

A name is its words joined by points; every word has one counterpart, so that names translate both ways. Names of ours
contain no released word: translating them changes nothing.
"""

import re

WORDS = {
    # The heat-map backbone.
    "deconv_layers": "upsampling",
    "final_layer": "heatmaps",
    "lateral_layers": "lateral",
    # A layer of the decoder.
    "cross_attn_norm": "reader_norm",
    "cross_attn": "reader",
    "coordinates_linear": "place",
    "joint_type_linear": "joint_type",
    "stage1_res_scale": "across_views_scale",
    "stage1_hg": "across_views",
    "stage1_norm": "across_views_norm",
    "offset_net": "offset",
    "view_agg": "view_weight",
    "stage2_res_scale": "within_person_scale",
    "stage2_hg": "within_person",
    "stage2_norm": "within_person_norm",
    "feat_upd_norm": "refresh_norm",
    "feat_upd_linear": "refresh",
    "geo_feedback_mlp": "feedback",
    "ffn_norm": "feed_forward_norm",
    "ffn_mlp": "feed_forward",
    "fc1": "inward",
    "fc2": "outward",
    "offset_head": "step",
    "weight_head": "trust",
    "attn_proj": "logit",
    # The released denoiser.
    "t_mlp": "time",
    "z_embedder": "cue",
    "node_proj": "detection",
    "edge_proj": "mass",
    "z_film": "modulate",
    "final_norm_edges": "last_norm",
    "edge_attention": "among_tuples",
    "W_q_edge": "tuple_query",
    "W_k_node": "detection_key",
    "W_v_node": "detection_value",
    "W_o_edge": "tuple_out",
    "W_q_node": "detection_query",
    "W_k_edge": "tuple_key",
    "W_v_edge": "tuple_value",
    "W_o_node": "detection_out",
    "ffn_node": "detection_feed_forward",
    "ffn_edge": "tuple_feed_forward",
    "adaLN_node": "detection_modulation",
    "adaLN_edge": "tuple_modulation",
    "member_mlp": "member",
    "set_mlp": "members",
    "edge_to_film_trunk": "film_trunk",
    "edge_to_film_head": "film",
    "classifier": "last",
}
"""Released words and ours. The trunk of a backbone is called ``backbone`` there, beside the whole (`our_name`)."""

_RELEASED = {ours: released for released, ours in WORDS.items()}


def our_name(name: str) -> str:
    """What we call a tensor that has a released name, or one of ours already."""
    translated = ".".join(WORDS.get(word, word) for word in name.split("."))
    return re.sub(r"^((?:backbone\.)?)backbone\.(?=\d)", r"\1trunk.", translated)


def released_name(name: str) -> str:
    """What the release calls a tensor of a backbone, or of a part of `ReleasedDisPose`."""
    translated = ".".join(_RELEASED.get(word, word) for word in name.split("."))
    return re.sub(r"^((?:backbone\.)?)trunk\.(?=\d)", r"\1backbone.", translated)

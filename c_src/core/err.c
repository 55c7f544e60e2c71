/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "err.h"

#include <stddef.h>

static const char *const names[JAT_ERR_COUNT] = {
    [JAT_OK] = "ok",
    [JAT_ENOMEM] = "no_memory",
    [JAT_EBADARG] = "badarg",
    [JAT_EXML] = "malformed_xml",
    [JAT_EDTD] = "document_type",
    [JAT_ECOMMENT] = "comment",
    [JAT_EPI] = "processing_instruction",
    [JAT_ESIZE] = "too_big",
    [JAT_EDEPTH] = "too_deep",
    [JAT_EATTRIBUTES] = "too_many_attributes",
    [JAT_ECHILDREN] = "too_many_children",
    [JAT_EADDRESSES] = "too_many_addresses",
    [JAT_ENOSTANZA] = "not_a_stanza",
    [JAT_ENOTFOUND] = "not_found",
    [JAT_EFULL] = "full",
    [JAT_EUNOPENABLE] = "unopenable",
    [JAT_ECRYPTO] = "crypto",
    [JAT_EMIXED] = "mixed_libraries",
};

const char *jat_err_name(enum jat_err err)
{
    size_t i = (size_t)err;

    return i < JAT_ERR_COUNT && names[i] != NULL ? names[i] : "unknown";
}

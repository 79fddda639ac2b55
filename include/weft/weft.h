/*
 * weft/weft.h - all of weft in one include.
 */
#ifndef WEFT_WEFT_H
#define WEFT_WEFT_H
#include <weft/base.h>
#include <weft/go.h>
#include <weft/chan.h>
#include <weft/select.h>
#include <weft/net.h>
#include <weft/tls.h>
#include <weft/http.h>
#include <weft/unwind.h>
#endif

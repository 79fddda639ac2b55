/*
 * weft/weft.h - all of weft in one include.
 */
#ifndef WEFT_WEFT_H
#define WEFT_WEFT_H
#include <weft/base.h>
#include <weft/chan.h>
#include <weft/ctx.h>
#include <weft/events.h>
#include <weft/go.h>
#include <weft/group.h>
#include <weft/http.h>
#include <weft/io.h>
#include <weft/local.h>
#include <weft/map.h>
#include <weft/net.h>
#include <weft/select.h>
#include <weft/signal.h>
#include <weft/sync.h>
#include <weft/time.h>
#include <weft/tls.h>
#include <weft/unwind.h>
#include <weft/ws.h>
#ifdef WEFT_SMALL
#include <weft/small.h>
#endif
#endif

/* SPDX-License-Identifier: ISC */
/* A QR code on a terminal, from the rows of bits that a login comes with. */
#ifndef AWSENV_QR_H
#define AWSENV_QR_H

#include "awsenv/buf.h"

/* Columns that it takes, and twice its lines; 0: it is none. */
uint32_t qr_side(uint32_t width, struct view rows);
void qr_draw(uint32_t width, struct view rows, struct buf *out);

#endif
